import { join } from 'node:path'

/** How a partition's folder and its files are named: Kafka's names, so that Kafka's tools read them. */

export const Suffix = {
  log: '.log',
  offsetIndex: '.index',
  timeIndex: '.timeindex',
  transactionIndex: '.txnindex',
  snapshot: '.snapshot',
  /** Behind one of the others: goes away after file.delete.delay.ms. */
  deleted: '.deleted',
  /** Compaction is writing it. */
  cleaned: '.cleaned',
  /** Compaction has finished it; it replaces the segments that it covers. */
  swap: '.swap',
} as const

/** Behind a folder's name: the partition was deleted. */
export const deletedFolderSuffix = '-delete'
/** Behind a folder's name: the copy of a log that is on its way to this directory. */
export const futureFolderSuffix = '-future'
/** Behind a folder's name: the same partition lies in another directory, too, and is served from there. */
export const strayFolderSuffix = '-stray'
export const leaderEpochFile = 'leader-epoch-checkpoint'
export const partitionMetadataFile = 'partition.metadata'

/** Segment and snapshot files carry an offset of 20 digits. */
export function fileNameOf(offset: number, suffix: string): string {
  return `${String(offset).padStart(20, '0')}${suffix}`
}

/** @returns undefined when the name does not begin with an offset that LMQ can hold */
export function offsetOfFileName(name: string): number | undefined {
  const digits = /^\d{20}(?=\.)/.exec(name)?.[0]
  if (digits === undefined) return undefined
  const offset = Number(digits)
  return Number.isSafeInteger(offset) ? offset : undefined
}

export function folderNameOf(topic: string, partitionIndex: number): string {
  return `${topic}-${partitionIndex}`
}

/** @returns undefined when the folder holds no partition */
export function partitionOfFolderName(
  name: string,
): { topic: string; partitionIndex: number } | undefined {
  const match = /^(.+)-(\d{1,10})$/.exec(name)
  if (!match) return undefined
  return { topic: match[1] as string, partitionIndex: Number(match[2]) }
}

/** What file systems take. */
export const LONGEST_FOLDER_NAME = 255

export const lengthOfFutureFolderName = (topic: string, partitionIndex: number): number =>
  folderNameOf(topic, partitionIndex).length + 33 + futureFolderSuffix.length

/** @returns the name of the log that a folder is the unfinished copy of; undefined when it is none */
export function logOfFutureFolder(name: string): string | undefined {
  return /^(.+-\d{1,10})\.[0-9a-f]{32}-future$/.exec(name)?.[1]
}

export const snapshotPathOf = (folder: string, offset: number): string =>
  join(folder, fileNameOf(offset, Suffix.snapshot))
