// Java's console consumer in a process of its own, and what it prints.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { javaArgs } from '../compat/harness/java.ts'
import type { Tool } from '../compat/harness/tools.ts'

const main = 'org.apache.kafka.tools.consumer.ConsoleConsumer'

/** A record as a reader was given it; its value without what fills it up, see histories.ts. */
export type Given = readonly [offset: number, value: string]

export class ConsoleConsumer {
  readonly #given: Given[] = []
  readonly #child: ChildProcess
  #complained = ''

  constructor(java: Tool, args: readonly string[]) {
    const all = [...javaArgs(java), main, ...args, '--formatter-property', 'print.offset=true']
    const child = spawn(java.path, all, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, offset, value] = /^Offset:(\d+)\t(.*?)\.*$/.exec(line) ?? []
      if (offset !== undefined) this.#given.push([Number(offset), value ?? ''])
      else this.#complained += `${line}\n`
    })
    child.stderr.on('data', (chunk: Buffer) => {
      this.#complained += chunk.toString()
    })
    const orphaned = () => child.kill('SIGKILL')
    process.once('exit', orphaned)
    child.once('exit', () => process.off('exit', orphaned))
  }

  /** What it has printed so far. @throws when it has ended by itself */
  given(): readonly Given[] {
    if (this.#child.exitCode !== null) throw new Error(`Java's consumer ended: ${this.#complained}`)
    return this.#given
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve()
      this.#child.once('close', () => resolve())
      this.#child.kill('SIGKILL')
    })
  }
}
