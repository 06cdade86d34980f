import { OutcomeError } from '../client/outcome-error.ts'
import { Progress } from './progress.ts'
import type { Tool } from './tool.ts'

/** How things of one kind are removed. */
export type Removal = {
  /** What the name of such a thing is called in JSON. */
  readonly key: string
  remove(name: string): Promise<void>
  /** The outcome that says that there is none; undefined: that, too, is an error. */
  readonly passedOver: string | undefined
}

/** Removes one after the other and tells of each. Stops at the first that cannot be removed. */
export async function removeEach(
  { output }: Pick<Tool, 'output'>,
  names: readonly string[],
  { key, remove, passedOver }: Removal,
): Promise<void> {
  const progress = new Progress('deleted', names.length)
  const results: { name: string; deleted: boolean }[] = []
  for (const name of names) {
    let deleted = true
    try {
      await remove(name)
    } catch (error) {
      const isGone = error instanceof OutcomeError && error.errorName === passedOver
      if (!isGone) throw error
      deleted = false
    }
    results.push({ name, deleted })
    progress.advance()
  }
  progress.end()
  output.done(
    results.map(({ name, deleted }) => ({ [key]: name, deleted })),
    results
      .map(({ name, deleted }) => (deleted ? `deleted ${name}` : `${name} was not there`))
      .join('\n'),
  )
}
