// Kafka's command-line tools, run against LMQ and compared line by line with what the same commands print against Apache Kafka.
// The checked-in transcripts beside this file hold Kafka's answers; LMQ_RECORD=1 writes them anew from a Kafka started for it.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { repositoryRoot } from '../../tools/repository-root.ts'
import { until } from '../harness/context.ts'
import type { Driver, Outgoing } from '../harness/driver.ts'
import { javaArgs } from '../harness/java.ts'
import { tool } from '../harness/tools.ts'

export const isRecording = process.env['LMQ_RECORD'] === '1'

const aloneLimitMs = 60_000
const tools = 'org.apache.kafka.tools'
const mains = {
  BrokerApiVersionsCommand: `${tools}.BrokerApiVersionsCommand`,
  ClientMetricsCommand: `${tools}.ClientMetricsCommand`,
  ClusterTool: `${tools}.ClusterTool`,
  ConfigCommand: 'kafka.admin.ConfigCommand',
  ConsumerGroupCommand: `${tools}.consumer.group.ConsumerGroupCommand`,
  ConsumerPerformance: `${tools}.ConsumerPerformance`,
  DeleteRecordsCommand: `${tools}.DeleteRecordsCommand`,
  DumpLogSegments: `${tools}.DumpLogSegments`,
  EndToEndLatency: `${tools}.EndToEndLatency`,
  FeatureCommand: `${tools}.FeatureCommand`,
  GetOffsetShell: `${tools}.GetOffsetShell`,
  GroupsCommand: `${tools}.GroupsCommand`,
  LeaderElectionCommand: `${tools}.LeaderElectionCommand`,
  LogDirsCommand: `${tools}.LogDirsCommand`,
  MetadataQuorumCommand: `${tools}.MetadataQuorumCommand`,
  ProducerPerformance: `${tools}.ProducerPerformance`,
  ReplicaVerificationTool: `${tools}.ReplicaVerificationTool`,
  ReassignPartitionsCommand: `${tools}.reassign.ReassignPartitionsCommand`,
  TopicCommand: `${tools}.TopicCommand`,
  VerifiableConsumer: `${tools}.VerifiableConsumer`,
  VerifiableProducer: `${tools}.VerifiableProducer`,
}

export type ToolName = keyof typeof mains

/** How a command is run and what of its answer is compared. */
export type Step = {
  /** Lines whose order is chance are compared in order of their text. */
  readonly sorted?: boolean
  /** The command is run again until it prints this. */
  readonly until?: RegExp
  /** A change of the whole output before it is compared. */
  readonly edit?: (text: string) => string
  /** Changes of each line before it is compared: what a pattern finds becomes the text. */
  readonly as?: readonly (readonly [RegExp, string])[]
}

/** A text that stands for what differs from run to run: ports, folders, ids, times. */
const everywhere: readonly (readonly [RegExp, string])[] = [
  [/(127\.0\.0\.1|localhost):\d+/g, 'HOST:PORT'],
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID'],
  [/(TopicId: |topicId=|topic_id: |Cluster ID: |ClusterId: +|DirectoryId: )\S{22}/g, '$1ID'],
  [/\b1[789]\d{11}\b/g, 'MS'],
  [/\badminclient-\d+/g, 'adminclient-N'],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.:,]\d{3}/g, 'TIME'],
]

/** The tool's own list of its options. */
const usage = /^Option (\(\* = required\))? +Description *$[\s\S]*^--version.*$/m

/** Lines of stack traces, and the error by which Tool.java ends a tool. */
const noise = /^\s+at \S+\(|^\s+\.\.\. \d+ (more|common)|Tool\$Ended|^ended$|^$/

/** One run of many commands: each one's output is compared with the transcript of its scenario. */
export class Session {
  readonly driver: Driver
  readonly bootstrap: string
  /** For the files that tools read and write. */
  readonly folder: string
  readonly #dataFolder: string
  #expected: string[] = []
  #blocks: string[] = []

  constructor(
    driver: Driver,
    server: { readonly bootstrap: string; readonly dataFolder: string },
    folder: string,
  ) {
    this.driver = driver
    this.bootstrap = server.bootstrap
    this.#dataFolder = server.dataFolder
    this.folder = folder
  }

  /** Begins a scenario, whose transcript has its name. */
  open(scenario: string): void {
    this.#blocks = []
    this.#expected = isRecording ? [] : blocksOf(readFileSync(transcript(scenario), 'utf8'))
  }

  /** Ends the scenario: what was printed is kept with the results of the run, or becomes the transcript. */
  close(t: Test, scenario: string): void {
    const text = this.#blocks.join('\n')
    if (isRecording) writeFileSync(transcript(scenario), text)
    else {
      const results =
        process.env['LMQ_TEST_RESULTS'] ?? join(repositoryRoot(import.meta.url), 'test-results')
      const folder = join(results, 'java-tools')
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `${scenario}.txt`), text)
      t.equal(this.#blocks.length, this.#expected.length, 'as many commands as in the transcript')
    }
  }

  /** Runs a command for what it does; it must succeed. */
  async does(name: ToolName, args: string | readonly string[]): Promise<string> {
    const { status, text } = await this.#run(name, words(args))
    if (status !== 0) throw new Error(`${name} ${words(args).join(' ')}: ${status}\n${text}`)
    return text
  }

  /**
   * Runs a command that is answered otherwise than by Kafka, because what it asks for is not served yet. A refusal must end
   * the tool, and say what is missing. Not while recording.
   */
  async refused(t: Test, name: ToolName, args: string | readonly string[], why: RegExp) {
    if (isRecording) return
    const { status, text } = await this.#run(name, words(args))
    const command = `${name} ${words(args).join(' ')}`
    t.not(status, 0, `${command}: ends as failed`)
    t.match(text, why, `${command}: says why`)
  }

  /** Runs a command and compares what it prints, and how it ends, with what it does against Kafka. */
  async same(t: Test, name: ToolName, args: string | readonly string[], step: Step = {}) {
    const all = words(args)
    const ask = () => this.#run(name, all)
    const { until: wanted } = step
    const { status, text } = wanted
      ? await until(`${name} ${all.join(' ')}`, ask, (found) => wanted.test(found.text))
      : await ask()
    const command = this.#stable(`$ ${name} ${all.join(' ')}`, [])
    const lines = (step.edit?.(text) ?? text)
      .split('\n')
      .map((line) => this.#stable(line, step.as ?? []))
    const kept = lines.filter((line) => line !== '')
    if (step.sorted) kept.sort()
    const ending = status === 0 ? [] : [`[${status}]`]
    await this.#compare(t, command, [...kept, ...ending])
    return text
  }

  /**
   * Runs a tool in a JVM of its own: one that prints when the JVM ends, or has no end.
   *
   * @param enough what it prints when it may be ended; it must end by itself when this is left out
   */
  async alone(name: ToolName, args: string, enough?: RegExp): Promise<string> {
    const java = tool('java')
    if (!java) throw new Error('java is missing')
    const server = name === 'ReplicaVerificationTool' ? '--broker-list' : '--bootstrap-server'
    const all = [...javaArgs(java), mains[name], server, this.bootstrap, ...words(args)]
    const child = spawn(java.path, all, { stdio: ['ignore', 'pipe', 'pipe'] })
    const orphaned = () => child.kill('SIGKILL')
    process.once('exit', orphaned)
    const limit = setTimeout(orphaned, aloneLimitMs)
    let text = ''
    const note = (chunk: Buffer) => {
      text += chunk.toString()
      if (enough?.test(text)) child.kill('SIGKILL')
    }
    child.stdout.on('data', note)
    child.stderr.on('data', note)
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
    clearTimeout(limit)
    process.off('exit', orphaned)
    if (enough ? enough.test(text) : code === 0) return text
    throw new Error(`${name} ${args} ended with ${code}:\n${text}`)
  }

  /** Compares a text that a scenario made of what a tool printed. */
  async sameText(t: Test, what: string, text: string): Promise<void> {
    await this.#compare(t, `$ ${what}`, text.split('\n'))
  }

  async #compare(t: Test, command: string, lines: readonly string[]): Promise<void> {
    const block = `${[command, ...lines].join('\n')}\n`
    const expected = this.#expected[this.#blocks.length]
    this.#blocks.push(block)
    await t.test(command, async (t) => {
      if (isRecording) t.pass('noted')
      else t.equal(block, expected)
    })
  }

  async #run(name: ToolName, args: readonly string[]): Promise<{ status: number; text: string }> {
    const server = name === 'DumpLogSegments' ? [] : ['--bootstrap-server', this.bootstrap]
    const all = name === 'ClusterTool' ? [...args, ...server] : [...server, ...args]
    const found = (await this.driver.call('tool', { main: mains[name], args: all, input: '' })) as {
      status: number
      printed: string
      complained: string
    }
    const said = `${found.printed}\n${found.complained}`.replace(usage, '')
    const lines = said.split('\n').filter((line) => !noise.test(line))
    return { status: found.status, text: lines.join('\n') }
  }

  #stable(line: string, more: readonly (readonly [RegExp, string])[]): string {
    let text = line.replaceAll(this.folder, 'FOLDER').replaceAll(this.#dataFolder, 'DATA')
    for (const [pattern, to] of [...more, ...everywhere]) text = text.replace(pattern, to)
    return text.replace(/[ \t]+/g, ' ').trimEnd()
  }
}

const words = (args: string | readonly string[]) =>
  typeof args === 'string' ? args.split(' ').filter((word) => word !== '') : args

const transcript = (scenario: string) =>
  join(repositoryRoot(import.meta.url), 'test', 'compat', 'java-tools', `${scenario}.txt`)

/** Each block begins with its command. */
function blocksOf(text: string): string[] {
  const blocks = text.split(/^(?=\$ )/m).map((block) => `${block.trimEnd()}\n`)
  return blocks.filter((block) => block !== '\n')
}

/** So many records for each partition, a second apart from 1,600,000,000,000 ms on. */
export function recordsAt(partitions: number, each: number): Outgoing[] {
  return Array.from({ length: partitions * each }, (_, index) => ({
    key: base64(`key ${index}`),
    value: base64(`value ${index}`),
    partition: index % partitions,
    timestampMs: firstTimeMs + Math.floor(index / partitions) * 1_000,
  }))
}

const firstTimeMs = 1_600_000_000_000
const base64 = (text: string) => Buffer.from(text).toString('base64')
