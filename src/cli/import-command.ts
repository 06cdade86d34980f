/** `lmq import`: takes the topics of a stopped Kafka from its log folders into a data folder of LMQ. */
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { configRulesOf } from '../cluster/config-rules.ts'
import {
  type ImportPlan,
  type PlannedTopic,
  planImport,
  type ReadPartition,
} from '../cluster/import-plan.ts'
import { finishImport, runImport, unfinishedImport } from '../cluster/import-run.ts'
import { ImportTarget } from '../cluster/import-target.ts'
import { readKafkaMetadata } from '../cluster/kafka-metadata-log.ts'
import { MetadataImage } from '../cluster/metadata-image.ts'
import type { LoadedSettings } from '../config/load-settings.ts'
import { loadStartOptions, type StartOptions } from '../config/start-options.ts'
import { startBroker } from '../index.ts'
import { copyFileDurably } from '../io/file-copy.ts'
import { isLockedElsewhere } from '../io/foreign-lock.ts'
import type { Io } from '../io/io.ts'
import { nodeHost } from '../io/node-host.ts'
import { createNodeIo } from '../io/node-io.ts'
import { type ForeignFolder, kafkaLockFile, readForeignFolder } from '../log/foreign-folder.ts'
import { type ForeignLog, inspectForeignLog } from '../log/foreign-log.ts'
import { storedIdentity } from '../log/meta-properties.ts'
import { UsageError } from './error-sentence.ts'
import { exitCodes } from './exit-codes.ts'
import { Output, sizeText } from './output.ts'
import { Progress } from './progress.ts'
import { defaultDataDir } from './start.ts'
import { settingsOf } from './start-flags.ts'
import { createTextLogger } from './text-logger.ts'
import { collect, integerOf } from './tool.ts'

type Flags = {
  data?: string
  config?: string
  set?: string[]
  brokerId?: string
  dryRun?: boolean
  skipRefused?: boolean
  move?: boolean
  json?: boolean
}

const mebibyte = 1024 * 1024

export function importCommand(): Command {
  return new Command('import')
    .description(
      'take the topics of a stopped Kafka from its log folders, while LMQ is stopped, too',
    )
    .argument('<folders...>', 'all log.dirs of one Kafka broker (3.x or 4.x)')
    .option('-d, --data <folder>', 'data folder to put them into (~/.local/share/lmq)')
    .option('-c, --config <file>', 'the server.properties that `lmq start` gets')
    .option('-s, --set <key=value>', 'one setting, as for `lmq start`; may be repeated', collect)
    .option('--broker-id <number>', 'number of this broker (1)')
    .option('--dry-run', 'read everything, say what would be taken, and change nothing')
    .option('--skip-refused', 'take the other topics where some cannot be taken')
    .option('--move', 'take the files away from Kafka instead of copying them')
    .option('--json', 'write JSON')
    .action(async (folders: string[], flags: Flags) => {
      process.exitCode = await new Import(folders, flags).run()
    })
}

class Import {
  readonly #folders: readonly string[]
  readonly #flags: Flags
  readonly #output: Output
  readonly #io: Io = createNodeIo()
  readonly #loaded: LoadedSettings
  readonly #data: string
  readonly #logger: Logger

  constructor(folders: readonly string[], flags: Flags) {
    this.#flags = flags
    this.#folders = [...new Set(folders.map((folder) => nodeHost.absolutePath(folder)))]
    this.#output = new Output(flags.json === true)
    this.#loaded = loadStartOptions(startOptionsOf(flags), (path) =>
      nodeHost.readSettingsFile(path),
    )
    const [data] = this.#loaded.dataDirs
    if (data === undefined) throw new UsageError('name the data folder with --data')
    this.#data = nodeHost.absolutePath(data)
    const write = (line: string): void => void process.stderr.write(line)
    this.#logger = createTextLogger(write, 'warn', () => new Date())
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    try {
      const isNew = storedIdentity(this.#io, [this.#data]) === undefined
      if (!isNew) {
        const journal = unfinishedImport(this.#io, this.#data)
        if (journal?.state === 'switching' && !this.#flags.dryRun) return await this.#finish()
      }
      const folders = this.#read()
      const partitions = this.#inspect(folders)
      return isNew
        ? await this.#takeIntoNew(folders, partitions)
        : await this.#takeInto(folders, partitions)
    } finally {
      await this.#io.jobs.close()
    }
  }

  /** The folder is made only when something goes into it. */
  async #takeIntoNew(folders: readonly ForeignFolder[], partitions: ReadPartition[]) {
    const plan = await this.#plan(folders, partitions, new MetadataImage())
    if (!this.#takes(plan)) return this.#tell(plan, false)
    await this.#makeDataFolder(folders)
    const target = await this.#open()
    try {
      await this.#take(plan, target)
    } finally {
      await target.close()
    }
    return this.#tell(plan, true)
  }

  async #takeInto(folders: readonly ForeignFolder[], partitions: ReadPartition[]) {
    const target = await this.#open()
    try {
      const plan = await this.#plan(folders, partitions, target.image)
      const takes = this.#takes(plan)
      if (takes) await this.#take(plan, target)
      return this.#tell(plan, takes)
    } finally {
      await target.close()
    }
  }

  #isRefused({ refused }: ImportPlan): boolean {
    return refused.length > 0 && !this.#flags.skipRefused
  }

  #takes(plan: ImportPlan): boolean {
    return !this.#flags.dryRun && !this.#isRefused(plan) && plan.topics.length > 0
  }

  #open(): Promise<ImportTarget> {
    const brokerId = storedIdentity(this.#io, [this.#data])?.brokerId ?? 1
    return ImportTarget.open(this.#io, this.#data, brokerId, this.#logger)
  }

  /** An ordinary first start makes the folder, with the cluster id of Kafka: clients that know it stay content. */
  async #makeDataFolder([first]: readonly ForeignFolder[]): Promise<void> {
    const options = startOptionsOf(this.#flags)
    const settings = { ...options.settings, 'lmq.cluster.id': first?.clusterId ?? '' }
    const broker = await startBroker({
      ...options,
      host: '127.0.0.1',
      port: 0,
      httpPort: -1,
      settings: this.#loaded.config['lmq.cluster.id'] === undefined ? settings : options.settings,
    })
    await broker.stop()
  }

  // ------------------------------------------------------------------------------------------------ reading

  #read(): ForeignFolder[] {
    const folders = this.#folders.map((dir) => {
      this.#checkSource(dir)
      return readForeignFolder(this.#io.disk, dir)
    })
    const [first, ...others] = folders
    for (const { dir, clusterId, brokerId } of others) {
      if (clusterId === first?.clusterId && brokerId === first.brokerId) continue
      throw new UsageError(
        `${dir} is of broker ${brokerId} of cluster ${clusterId}, ${first?.dir} of broker ${first?.brokerId} of cluster ${first?.clusterId}: give the log.dirs of one broker`,
      )
    }
    return folders
  }

  #checkSource(dir: string): void {
    if (existsSync(dir) && existsSync(this.#data)) {
      if (realpathSync(dir) === realpathSync(this.#data)) {
        throw new UsageError(`${dir} is the data folder itself: choose another with --data`)
      }
    }
    if (existsSync(join(dir, 'lmq-metadata'))) {
      throw new UsageError(
        `${dir} is a data folder of LMQ: start it with \`lmq start --data ${dir}\``,
      )
    }
    this.#checkStopped(dir)
  }

  /** @throws LMQ_LOG_DIR_TAKEN */
  #checkStopped(dir: string): void {
    const isLocked = isLockedElsewhere(join(dir, kafkaLockFile))
    if (isLocked) throw new LmqError('LMQ_LOG_DIR_TAKEN', { path: dir, holder: 'Kafka' })
    if (isLocked === undefined) {
      this.#output.note(
        `whether Kafka still uses ${dir} cannot be told on this system: stop it first`,
      )
    }
  }

  #inspect(folders: readonly ForeignFolder[]): ReadPartition[] {
    const all = folders.flatMap(({ partitions, wasClean }) =>
      partitions.map((found) => ({ found, wasClean })),
    )
    const bytes = all.reduce((sum, { found }) => sum + bytesOf(found.files), 0)
    const progress = new Progress('MiB read', Math.ceil(bytes / mebibyte))
    let doneBytes = 0
    try {
      return all.map(({ found, wasClean }) => {
        const steps = inspectForeignLog(this.#io.disk, this.#io.crc32c, found)
        const sizeBytes = bytesOf(found.files)
        let readBytes = 0
        const log = stepped(steps, () => {
          readBytes = Math.min(sizeBytes, readBytes + mebibyte) // most files are smaller than a step
          advanceTo(progress, doneBytes + readBytes)
        })
        doneBytes += sizeBytes
        return { found, wasClean, log }
      })
    } finally {
      progress.end()
    }
  }

  async #plan(
    folders: readonly ForeignFolder[],
    partitions: readonly ReadPartition[],
    image: MetadataImage,
  ): Promise<ImportPlan> {
    const metadataFolder = folders.find((folder) => folder.metadataFolder)?.metadataFolder
    return planImport({
      folders,
      partitions,
      metadata: metadataFolder ? await readKafkaMetadata(this.#io, metadataFolder) : undefined,
      image,
      rules: configRulesOf(this.#loaded.config),
      newTopicId: () => this.#io.random.uuid(),
    })
  }

  // ------------------------------------------------------------------------------------------------ doing

  async #finish(): Promise<number> {
    const target = await this.#open()
    try {
      const journal = unfinishedImport(this.#io, this.#data)
      if (journal) await finishImport(journal, this.#io, target)
      const topics = journal?.topics.map(({ name }) => name) ?? []
      const text = `The import that was interrupted is finished: ${topics.length} topics are in ${this.#data}.`
      this.#output.done({ finished: true, topics }, text)
      return exitCodes.done
    } finally {
      await target.close()
    }
  }

  async #take(plan: ImportPlan, target: ImportTarget): Promise<void> {
    const bytes = plan.topics.reduce((sum, topic) => sum + fileBytesOf(topic), 0)
    const progress = new Progress('MiB copied', Math.ceil(bytes / mebibyte))
    let copied = 0
    const options = {
      io: this.#io,
      target,
      settings: this.#loaded.config,
      logger: this.#logger,
      move: this.#flags.move === true,
      copyFile: copyFileDurably,
      onCopied: (more: number) => {
        copied += more
        advanceTo(progress, copied)
      },
    }
    // Kafka may have been started while the folders were read.
    for (const dir of this.#folders) this.#checkStopped(dir)
    try {
      await runImport(plan, options, unfinishedImport(this.#io, this.#data))
    } finally {
      progress.end()
    }
  }

  /** @returns the exit code */
  #tell(plan: ImportPlan, isDone: boolean): number {
    const exitCode = this.#isRefused(plan) ? exitCodes.failed : exitCodes.done
    const { topics, refused, leftOut, notes } = plan
    if (this.#output.isJson) {
      const value = {
        done: isDone,
        data: this.#data,
        topics: topics.map(jsonOf),
        refused,
        leftOut,
        notes,
      }
      this.#output.result(value, '')
      return exitCode
    }
    const columns = [
      { title: 'TOPIC', value: (topic: PlannedTopic) => topic.name },
      { title: 'PARTITIONS', value: (topic: PlannedTopic) => topic.partitions.length },
      { title: 'RECORDS', value: (topic: PlannedTopic) => recordsOf(topic) },
      { title: 'SIZE', value: (topic: PlannedTopic) => sizeText(bytesOfLogs(topic)) },
      { title: 'SETTINGS', value: settingsText },
    ]
    this.#output.list(topics, columns, 'there is nothing to take')
    for (const { topic, reason } of refused) this.#output.note(`refused: ${topic}: ${reason}`)
    for (const line of leftOutLines(leftOut)) this.#output.note(`left out: ${line}`)
    for (const note of notes) this.#output.note(`note: ${note}`)
    this.#output.note(this.#closingLine(plan, isDone))
    return exitCode
  }

  #closingLine(plan: ImportPlan, isDone: boolean): string {
    const { topics } = plan
    const data = this.#data
    if (isDone) {
      return `${topics.length} topics are in ${data}. Start with \`lmq start --data ${data}\`; retention works from then on.`
    }
    if (this.#isRefused(plan)) {
      return 'Nothing is taken, because some topics are refused: say --skip-refused to take the others.'
    }
    return topics.length > 0 ? 'Nothing is changed (--dry-run).' : 'Nothing is taken.'
  }
}

function startOptionsOf(flags: Flags): StartOptions {
  return {
    dataDir: flags.data,
    configFile: flags.config,
    settings: settingsOf(flags.set ?? []),
    brokerId: flags.brokerId === undefined ? undefined : integerOf('--broker-id', flags.brokerId),
    env: process.env,
    defaultDataDir: defaultDataDir(),
  }
}

const advanceTo = (progress: Progress, bytes: number): void =>
  progress.advance(Math.floor(bytes / mebibyte) - progress.count)

/** Runs to the end, and says so after each step. */
function stepped(steps: Generator<void, ForeignLog>, onStep: () => void): ForeignLog {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    onStep()
  }
}

const bytesOf = (files: readonly { sizeBytes: number }[]): number =>
  files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
const recordsOf = ({ partitions }: PlannedTopic): number =>
  partitions.reduce((sum, { log }) => sum + log.records, 0)
const bytesOfLogs = ({ partitions }: PlannedTopic): number =>
  partitions.reduce((sum, { log }) => sum + log.bytes, 0)
const fileBytesOf = ({ partitions }: PlannedTopic): number =>
  partitions.reduce((sum, { found }) => sum + bytesOf(found.files), 0)
const settingsText = ({ configs }: PlannedTopic): string =>
  [...configs].map(([name, value]) => `${name}=${value}`).join(' ')

function jsonOf({ name, topicId, partitions, configs }: PlannedTopic): unknown {
  return {
    name,
    topicId,
    configs: Object.fromEntries(configs),
    partitions: partitions.map(({ found, log, lost }) => ({
      partition: found.partitionIndex,
      folder: found.folder,
      startOffset: log.startOffset,
      endOffset: log.endOffset,
      records: log.records,
      bytes: log.bytes,
      ...(lost && { lostBytes: lost.bytes, lostBecause: lost.reason }),
    })),
  }
}

/** Fifty partitions of one internal topic are one line. */
function leftOutLines(leftOut: ImportPlan['leftOut']): string[] {
  const byReason = new Map<string, string[]>()
  for (const { folder, reason } of leftOut) {
    byReason.set(reason, [...(byReason.get(reason) ?? []), folder])
  }
  return [...byReason].map(([reason, folders]) => {
    const [first] = folders
    const more = folders.length > 1 ? ` and ${folders.length - 1} more` : ''
    return `${first}${more}: ${reason}`
  })
}
