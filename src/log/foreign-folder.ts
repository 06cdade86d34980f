/**
 * The log folder of a stopped Kafka broker, as it lies there. Reads only: nothing in it is changed, not even what a
 * start of that broker would finish or mend.
 */
import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Disk } from '../io/io.ts'
import {
  decodeEpochs,
  decodeOffsets,
  encodeOffsets,
  type PartitionOffset,
  readCheckpoint,
} from './checkpoint-file.ts'
import { cleanShutdownFile, offsetCheckpoints } from './log-directory.ts'
import {
  folderNameOf,
  leaderEpochFile,
  partitionMetadataFile,
  partitionOfFolderName,
  Suffix,
} from './log-files.ts'
import { decodeMetaProperties, metaPropertiesFile } from './meta-properties.ts'
import { decodePartitionMetadata } from './partition-metadata.ts'

/** What the four checkpoints of a log folder say of one partition; undefined: they do not name it. */
export type CheckpointedOffsets = {
  readonly recoveryPoint: number | undefined
  readonly logStartOffset: number | undefined
  readonly highWatermark: number | undefined
  /** Up to where it was compacted. */
  readonly cleanedOffset: number | undefined
}

export type ForeignPartition = {
  readonly topic: string
  readonly partitionIndex: number
  /** Absolute. */
  readonly folder: string
  /** From `partition.metadata`; undefined: that is missing or damaged. */
  readonly topicId: string | undefined
  readonly offsets: CheckpointedOffsets
  /** Leader epochs were known up to this one; -1: none. */
  readonly latestEpoch: number
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[]
  /** Changes when a file does. */
  readonly fingerprint: string
}

export type ForeignFolder = {
  readonly dir: string
  readonly clusterId: string
  readonly brokerId: number
  /** The broker that wrote it was stopped in order. */
  readonly wasClean: boolean
  readonly partitions: readonly ForeignPartition[]
  /** Folders of partitions that are deleted, moved or copied elsewhere. */
  readonly leftOut: readonly { readonly folder: string; readonly reason: string }[]
  /** The controller's log, if it lies here. */
  readonly metadataFolder: string | undefined
}

export const kafkaLockFile = '.lock'
const metadataFolder = '__cluster_metadata-0'

const endings: Readonly<Record<string, string>> = {
  delete: 'its topic was deleted',
  stray: 'Kafka found that it does not belong to this broker any more',
  future: 'an unfinished copy from another log folder; the original is taken',
}

/**
 * @throws LMQ_LOG_DIR_FOREIGN when it is no log folder of a KRaft broker, or of Kafka in ZooKeeper's time; Node's own
 *   disk errors
 */
export function readForeignFolder(disk: Disk, dir: string): ForeignFolder {
  const metaPath = join(dir, metaPropertiesFile)
  if (!disk.existsSync(dir) || !disk.existsSync(metaPath)) {
    const reason = 'there is no meta.properties, so this is no log folder of Kafka (log.dirs)'
    throw new LmqError('LMQ_LOG_DIR_FOREIGN', { dir, reason })
  }
  const { clusterId, brokerId } = decodeForeignProperties(disk.readFileSync(metaPath), metaPath)
  const offsetsOf = readOffsets(disk, dir)
  const partitions: ForeignPartition[] = []
  const leftOut: { folder: string; reason: string }[] = []
  let metadata: string | undefined
  for (const { name, isFolder } of disk.listSync(dir)) {
    if (!isFolder) continue
    if (name === metadataFolder) {
      metadata = join(dir, name)
      continue
    }
    const ending = /-\d+\.[0-9a-f]{8,}-(delete|future|stray)$/.exec(name)?.[1]
    if (ending) {
      leftOut.push({ folder: join(dir, name), reason: endings[ending] as string })
      continue
    }
    const partition = partitionOfFolderName(name)
    if (partition) partitions.push(readPartition(disk, join(dir, name), partition, offsetsOf(name)))
  }
  const byName = (a: ForeignPartition, b: ForeignPartition) =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partitionIndex - b.partitionIndex
  return {
    dir,
    clusterId,
    brokerId,
    wasClean: disk.existsSync(join(dir, cleanShutdownFile)),
    partitions: partitions.sort(byName),
    leftOut,
    metadataFolder: metadata,
  }
}

/** Version 0 is what brokers wrote that had ZooKeeper: other names for the same. */
function decodeForeignProperties(content: Buffer, path: string) {
  const text = content.toString('utf8')
  const isOld = /^\s*version\s*=\s*0\s*$/m.test(text)
  const read = isOld ? Buffer.from(text.replace(/^\s*version\s*=\s*0\s*$/m, 'version=1')) : content
  const { clusterId = '', brokerId = -1 } = decodeMetaProperties(read, path)
  return { clusterId, brokerId }
}

function readOffsets(disk: Disk, dir: string): (name: string) => CheckpointedOffsets {
  const read = (file: string): Map<string, number> => {
    const { entries } = readCheckpoint(disk, join(dir, file), decodeOffsets)
    return new Map(
      entries.map((entry) => [folderNameOf(entry.topic, entry.partitionIndex), entry.offset]),
    )
  }
  const recoveryPoints = read(offsetCheckpoints.recoveryPoint)
  const logStarts = read(offsetCheckpoints.logStartOffset)
  const highWatermarks = read(offsetCheckpoints.highWatermark)
  const cleaned = read(offsetCheckpoints.cleanedOffset)
  return (name) => ({
    recoveryPoint: recoveryPoints.get(name),
    logStartOffset: logStarts.get(name),
    highWatermark: highWatermarks.get(name),
    cleanedOffset: cleaned.get(name),
  })
}

function readPartition(
  disk: Disk,
  folder: string,
  { topic, partitionIndex }: { topic: string; partitionIndex: number },
  offsets: CheckpointedOffsets,
): ForeignPartition {
  const files: { name: string; sizeBytes: number }[] = []
  const marks: string[] = []
  for (const { name, isFolder } of disk.listSync(folder)) {
    if (isFolder || name.endsWith(Suffix.deleted)) continue
    const stat = disk.statSync(join(folder, name))
    if (!stat) continue
    files.push({ name, sizeBytes: stat.sizeBytes })
    marks.push(`${name} ${stat.sizeBytes} ${stat.modifiedMs}`)
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1))
  const idPath = join(folder, partitionMetadataFile)
  const topicId = disk.existsSync(idPath)
    ? decodePartitionMetadata(disk.readFileSync(idPath))
    : undefined
  const { entries } = readCheckpoint(disk, join(folder, leaderEpochFile), decodeEpochs)
  return {
    topic,
    partitionIndex,
    folder,
    topicId,
    offsets,
    latestEpoch: entries.at(-1)?.epoch ?? -1,
    files,
    fingerprint: marks.sort().join('\n'),
  }
}

/**
 * Adds what is known of partitions to the checkpoints of a log folder that nobody has open; what they said of the same
 * partitions before is replaced.
 *
 * @throws Node's own disk errors
 */
export function addToCheckpoints(
  disk: Disk,
  dir: string,
  added: readonly (CheckpointedOffsets & { topic: string; partitionIndex: number })[],
): void {
  for (const key of Object.keys(offsetCheckpoints) as (keyof CheckpointedOffsets)[]) {
    const path = join(dir, offsetCheckpoints[key])
    const { entries } = readCheckpoint(disk, path, decodeOffsets)
    const merged = new Map<string, PartitionOffset>()
    for (const entry of entries) {
      merged.set(folderNameOf(entry.topic, entry.partitionIndex), entry)
    }
    for (const { topic, partitionIndex, [key]: offset } of added) {
      const name = folderNameOf(topic, partitionIndex)
      if (offset === undefined) merged.delete(name)
      else merged.set(name, { topic, partitionIndex, offset })
    }
    disk.replaceFileSync(path, encodeOffsets(merged.values()))
  }
}
