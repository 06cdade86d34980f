/**
 * Brings planned topics into a data folder: copies their logs beside it, recovers what needs it, then moves them to
 * their places and makes the cluster know them, in this order. A crash at any moment leaves a folder from which the
 * same command goes on: a journal says what is under way, and a broker does not start in between.
 */
import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import {
  addToCheckpoints,
  type CheckpointedOffsets,
  readForeignFolder,
} from '../log/foreign-folder.ts'
import { type ImportState, importFolder, importJournalFile } from '../log/import-staging.ts'
import { LogDirs } from '../log/log-dirs.ts'
import { folderNameOf, partitionMetadataFile } from '../log/log-files.ts'
import type { LogSettings } from '../log/log-shared.ts'
import { encodeMetaProperties, metaPropertiesFile } from '../log/meta-properties.ts'
import { encodePartitionMetadata } from '../log/partition-metadata.ts'
import { type ImportPlan, importRecords } from './import-plan.ts'
import type { ImportTarget } from './import-target.ts'

export type ImportOptions = {
  readonly io: Io
  readonly target: ImportTarget
  readonly settings: LogSettings
  readonly logger: Logger
  /** Takes the folders away from Kafka instead of copying them. */
  readonly move: boolean
  copyFile(from: string, to: string): Promise<void>
  onCopied(bytes: number): void
}

type JournalPartition = {
  /** Where its folder lies until it is at its place. */
  readonly from: string
  /** Of the folder that it was copied from; '' when it is moved. */
  readonly fingerprint: string
  readonly latestEpoch: number
  readonly largestProducerId: number
  offsets: CheckpointedOffsets
}

/** What an import does, so that it can be finished. */
export type ImportJournal = {
  readonly version: 1
  state: ImportState
  readonly topics: readonly {
    readonly name: string
    readonly topicId: string
    readonly configs: Readonly<Record<string, string>>
    readonly partitions: readonly JournalPartition[]
  }[]
}

/** The import that did not come to its end in this folder. @throws LMQ_STORE_CORRUPT when its journal is unreadable */
export function unfinishedImport(
  { disk }: Pick<Io, 'disk'>,
  dir: string,
): ImportJournal | undefined {
  const path = journalPath(dir)
  if (!disk.existsSync(path)) return undefined
  try {
    const journal = JSON.parse(disk.readFileSync(path).toString('utf8')) as ImportJournal
    if (journal.version === 1 && Array.isArray(journal.topics)) return journal
  } catch (cause) {
    throw new LmqError('LMQ_STORE_CORRUPT', { path }, cause)
  }
  throw new LmqError('LMQ_STORE_TOO_NEW', { path })
}

const stagingOf = (dir: string): string => join(dir, importFolder)
const journalPath = (dir: string): string => join(stagingOf(dir), importJournalFile)

/**
 * @param earlier what `unfinishedImport` gave: what it has copied already, and is unchanged since, is not copied again
 * @throws LMQ_DISK_WRITE when there is no room, Node's own disk errors
 */
export async function runImport(
  plan: ImportPlan,
  options: ImportOptions,
  earlier: ImportJournal | undefined,
): Promise<ImportJournal> {
  const { io, target, move } = options
  checkPlaces(plan, options)
  const journal = journalOf(plan, target.dir, move)
  if (move) await checkMovable(plan, options)
  else await copyAll(plan, journal, earlier, options)
  journal.state = 'switching'
  io.disk.replaceFileSync(journalPath(target.dir), encodeJournal(journal))
  await finishImport(journal, io, target)
  return journal
}

/** A folder that no topic knows is in the way of one that would take its place. @throws LMQ_LOG_DIR_FOREIGN */
function checkPlaces(plan: ImportPlan, { io, target }: ImportOptions): void {
  for (const { name, partitions } of plan.topics) {
    for (const { found } of partitions) {
      const folder = join(target.dir, folderNameOf(name, found.partitionIndex))
      if (!io.disk.existsSync(folder)) continue
      const reason = 'a folder of an imported partition is there already, and no topic knows it'
      throw new LmqError('LMQ_LOG_DIR_FOREIGN', { folder, reason })
    }
  }
}

const encodeJournal = (journal: ImportJournal): Buffer => Buffer.from(JSON.stringify(journal))

function journalOf(plan: ImportPlan, dir: string, move: boolean): ImportJournal {
  const topics = plan.topics.map(({ name, topicId, partitions, configs }) => ({
    name,
    topicId,
    configs: Object.fromEntries(configs),
    partitions: partitions.map(({ found, log, lost }) => ({
      from: move ? found.folder : join(stagingOf(dir), folderNameOf(name, found.partitionIndex)),
      fingerprint: move ? '' : found.fingerprint,
      latestEpoch: log.latestEpoch,
      largestProducerId: log.largestProducerId,
      offsets: {
        // All that is taken was read and found sound, and the copy is flushed.
        recoveryPoint: lost ? found.offsets.recoveryPoint : log.endOffset,
        logStartOffset: found.offsets.logStartOffset,
        highWatermark: lost ? found.offsets.highWatermark : log.endOffset,
        // Recovery must know that offsets may be missing.
        cleanedOffset: found.offsets.cleanedOffset ?? (log.hasGaps ? 0 : undefined),
      },
    })),
  }))
  return { version: 1, state: 'copying', topics }
}

// -------------------------------------------------------------------------------------------------- gathering

async function copyAll(
  plan: ImportPlan,
  journal: ImportJournal,
  earlier: ImportJournal | undefined,
  options: ImportOptions,
): Promise<void> {
  const { io, target } = options
  const { disk } = io
  const staging = stagingOf(target.dir)
  await dropStale(journal, earlier, io, staging)
  await checkRoom(plan, options)
  disk.makeFolderSync(staging)
  disk.replaceFileSync(journalPath(target.dir), encodeJournal(journal))
  disk.flushFolderSync(target.dir)
  for (const { name, partitions } of plan.topics) {
    for (const { found } of partitions) {
      const to = join(staging, folderNameOf(name, found.partitionIndex))
      if (disk.existsSync(to)) continue
      const half = join(staging, 'half-copied')
      await disk.removeFolder(half)
      disk.makeFolderSync(half)
      for (const { name: file, sizeBytes } of found.files) {
        await options.copyFile(join(found.folder, file), join(half, file))
        options.onCopied(sizeBytes)
      }
      disk.flushFolderSync(half)
      disk.renameSync(half, to)
    }
  }
  disk.flushFolderSync(staging)
  const isWhole = plan.topics.every(({ partitions }) =>
    partitions.every(({ wasClean, lost }) => wasClean && !lost),
  )
  if (!isWhole) await recoverStaged(journal, staging, options)
}

/** What an earlier run copied stays if its original is the same still; all else goes. */
async function dropStale(
  journal: ImportJournal,
  earlier: ImportJournal | undefined,
  { disk }: Io,
  staging: string,
): Promise<void> {
  if (!disk.existsSync(staging)) return
  const copied = new Map<string, string>()
  for (const { partitions } of earlier?.topics ?? []) {
    for (const { from, fingerprint } of partitions) copied.set(from, fingerprint)
  }
  const wanted = new Set<string>()
  for (const { partitions } of journal.topics) {
    for (const { from, fingerprint } of partitions) {
      if (copied.get(from) === fingerprint) wanted.add(from)
    }
  }
  for (const { name, isFolder } of disk.listSync(staging)) {
    const path = join(staging, name)
    if (wanted.has(path)) continue
    if (isFolder) await disk.removeFolder(path)
    else if (name !== importJournalFile) disk.removeFileSync(path)
  }
}

/** @throws LMQ_DISK_WRITE */
async function checkRoom(plan: ImportPlan, { io, target }: ImportOptions): Promise<void> {
  const staging = stagingOf(target.dir)
  let neededBytes = 0
  for (const { name, partitions } of plan.topics) {
    for (const { found } of partitions) {
      if (io.disk.existsSync(join(staging, folderNameOf(name, found.partitionIndex)))) continue
      for (const { sizeBytes } of found.files) neededBytes += sizeBytes
    }
  }
  const { freeBytes } = await io.disk.space(target.dir)
  if (freeBytes >= 0 && freeBytes < neededBytes) {
    throw new LmqError('LMQ_DISK_WRITE', { dir: target.dir, neededBytes, freeBytes })
  }
}

/** Cuts the copies where a crash tore them, and builds their indexes anew, as a start of that broker would. */
async function recoverStaged(
  journal: ImportJournal,
  staging: string,
  { io, target, settings, logger }: ImportOptions,
): Promise<void> {
  const { disk } = io
  const owner = { clusterId: target.image.clusterId, brokerId: target.brokerId }
  const meta = encodeMetaProperties({ ...owner, directoryId: io.random.uuid() })
  disk.replaceFileSync(join(staging, metaPropertiesFile), meta)
  addToCheckpoints(disk, staging, offsetsIn(journal))
  const logDirs = await LogDirs.open(io, { dirs: [staging], ...owner, logger, settings })
  await logDirs.close()
  const recovered = new Map(
    readForeignFolder(disk, staging).partitions.map(({ folder, offsets }) => [folder, offsets]),
  )
  for (const { partitions } of journal.topics) {
    for (const partition of partitions) {
      const offsets = recovered.get(partition.from)
      if (offsets) partition.offsets = offsets
    }
  }
}

const offsetsIn = ({ topics }: ImportJournal) =>
  topics.flatMap(({ name, partitions }) =>
    partitions.map(({ offsets }, partitionIndex) => ({ topic: name, partitionIndex, ...offsets })),
  )

/**
 * Moving changes Kafka's own files, so they must need no recovery, and only a rename on one disk is all or nothing.
 *
 * @throws LMQ_LOG_DIR_FOREIGN
 */
async function checkMovable(plan: ImportPlan, { io, target }: ImportOptions): Promise<void> {
  const { disk } = io
  const refuse = (reason: string) => new LmqError('LMQ_LOG_DIR_FOREIGN', { reason })
  const partitions = plan.topics.flatMap((topic) => topic.partitions)
  if (partitions.some(({ wasClean, lost }) => !wasClean || lost)) {
    throw refuse('logs that need recovery cannot be moved: leave out --move, they are copied then')
  }
  disk.makeFolderSync(stagingOf(target.dir))
  const dirs = new Set(partitions.map(({ found }) => join(found.folder, '..')))
  for (const dir of dirs) {
    const probe = join(dir, 'lmq-probe')
    try {
      disk.makeFolderSync(probe)
      const moved = join(stagingOf(target.dir), 'probe')
      disk.renameSync(probe, moved)
      await disk.removeFolder(moved)
    } catch (error) {
      await disk.removeFolder(probe)
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
      throw refuse(`${dir} lies on another disk than the data folder: leave out --move`)
    }
  }
}

// -------------------------------------------------------------------------------------------------- switching

/**
 * Logs to their places, checkpoints, then the metadata that makes them topics, then the journal goes. Each step may be
 * done already.
 *
 * @throws LMQ_LOG_CORRUPT when a log is at neither of its places
 */
export async function finishImport(
  journal: ImportJournal,
  io: Io,
  target: ImportTarget,
): Promise<void> {
  const { disk } = io
  for (const { name, topicId, partitions } of journal.topics) {
    for (const [partitionIndex, { from }] of partitions.entries()) {
      const to = join(target.dir, folderNameOf(name, partitionIndex))
      if (disk.existsSync(from)) disk.renameSync(from, to)
      else if (!disk.existsSync(to)) {
        throw new LmqError('LMQ_LOG_CORRUPT', { folder: to, reason: 'the imported log is gone' })
      }
      const idPath = join(to, partitionMetadataFile)
      if (!disk.existsSync(idPath)) disk.replaceFileSync(idPath, encodePartitionMetadata(topicId))
    }
  }
  const dirs = journal.topics.flatMap(({ partitions }) =>
    partitions.map(({ from }) => join(from, '..')),
  )
  for (const dir of new Set([target.dir, ...dirs])) {
    if (disk.existsSync(dir)) disk.flushFolderSync(dir)
  }
  addToCheckpoints(disk, target.dir, offsetsIn(journal))
  await target.append(importRecords(journal.topics, target.image, target.brokerId))
  disk.removeFileSync(journalPath(target.dir))
  disk.flushFolderSync(stagingOf(target.dir))
  await disk.removeFolder(stagingOf(target.dir))
}
