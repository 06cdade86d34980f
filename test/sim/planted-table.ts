// The table of planted bugs and of what catches them, as it stands in PLANTED.md.
import { readFileSync } from 'node:fs'
import { plantedBugs } from './planted.ts'
import type { PlantedBug } from './planted-code.ts'

/** What a hunt in the simulator brought, by bug. */
export type Hunted = Readonly<Record<string, Hunt>>

export type Hunt = {
  /** The first seed whose life showed it; null: none of those tried. */
  readonly seed: number | null
  /** Seeds tried, from 1 on. */
  readonly tried: number
  /** What was found. */
  readonly by: string
}

export const tableFile = new URL('PLANTED.md', import.meta.url)
export const huntedFile = new URL('planted-hunted.json', import.meta.url)

export const readHunted = (): Hunted => JSON.parse(readFileSync(huntedFile, 'utf8')) as Hunted

export function tableText(hunted: Hunted): string {
  const found = plantedBugs.filter(({ name }) => typeof hunted[name]?.seed === 'number').length
  const rows = plantedBugs.map((bug) => rowOf(bug, hunted[bug.name]))
  return `# Planted bugs

Made by \`node --import tsx test/sim/planted-hunt.ts\`; do not edit by hand. \`planted.test.ts\` puts each of these bugs into the running code, runs the test that is to catch it, and sees it fail; without the bug the same test passes. The last column tells what the simulated cluster found in the last hunt: the first seed of \`cluster-life.test.ts\` that shows the bug, or how many seeds did not. Seeds move when the simulator changes; the tests do not depend on them.

Planted: ${plantedBugs.length}. Caught by a test: ${plantedBugs.length}. Found by the simulated cluster, too: ${found}.

| planted | in | caught by | simulated cluster |
|---|---|---|---|
${rows.join('\n')}
`
}

function rowOf({ name, where, caughtBy: { file, test } }: PlantedBug, hunt: Hunt | undefined) {
  const seen =
    hunt === undefined
      ? 'not tried'
      : hunt.seed === null
        ? `not in ${hunt.tried} seeds`
        : `seed ${hunt.seed}: ${hunt.by}`
  const cells = [name, `\`${where}\``, `\`${file}\`: ${test}`, seen]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
