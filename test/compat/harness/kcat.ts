import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestBroker } from './broker.ts'
import { runOrThrow } from './program.ts'

/** What kcat -J prints for a record. */
export type Message = {
  topic: string
  partition: number
  offset: number
  ts: number
  headers?: string[]
  key: string | null
  payload: string | null
}

/** The program with the broker's address filled in. */
export class Kcat {
  readonly #path: string
  readonly #broker: TestBroker
  readonly #folder: string

  constructor(path: string, broker: TestBroker, folder: string) {
    this.#path = path
    this.#broker = broker
    this.#folder = folder
  }

  async run(args: readonly string[], input = ''): Promise<string> {
    const all = ['-b', this.#broker.bootstrap, '-m', '30', ...args]
    return (await runOrThrow(this.#path, all, { input })).stdout.toString()
  }

  /** Produces lines; a topic that is not there is made by the broker. */
  async produce(topic: string, lines: readonly string[], args: readonly string[] = []) {
    await this.run(['-P', '-t', topic, ...args], lines.map((line) => `${line}\n`).join(''))
  }

  async produceFile(topic: string, name: string, data: Buffer | string, args: readonly string[]) {
    const path = join(this.#folder, name)
    writeFileSync(path, data)
    await this.run(['-P', '-t', topic, ...args, path])
  }

  async consume(topic: string, args: readonly string[] = []): Promise<Message[]> {
    const printed = await this.run([
      '-C',
      '-t',
      topic,
      '-o',
      'beginning',
      '-e',
      '-q',
      '-J',
      ...args,
    ])
    return messagesIn(printed)
  }

  member(group: string, topic: string, settings: readonly string[]): Member {
    const args = [
      ...['-b', this.#broker.bootstrap, '-J', '-u', '-X', 'auto.offset.reset=earliest'],
      ...['-X', 'session.timeout.ms=6000', '-X', 'heartbeat.interval.ms=500'],
      ...settings.flatMap((setting) => ['-X', setting]),
      ...['-G', group, topic],
    ]
    return new Member(spawn(this.#path, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  }
}

const messagesIn = (printed: string) =>
  printed
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Message)

/** `kcat -G` and what it has read. */
export class Member {
  readonly messages: Message[] = []
  readonly #child: ChildProcess

  constructor(child: ChildProcess) {
    this.#child = child
    if (!child.stdout || !child.stderr) throw new Error('kcat has no pipes')
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.messages.push(JSON.parse(line) as Message)
    })
    child.stderr.resume()
  }

  async leave(): Promise<void> {
    if (this.#child.exitCode !== null) return
    await new Promise<void>((resolve) => {
      this.#child.once('close', () => resolve())
      this.#child.kill('SIGTERM')
    })
  }
}
