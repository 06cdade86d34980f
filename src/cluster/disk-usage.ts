import { LmqError } from '../base/errors.ts'
import type { describeLogDirs } from '../protocol/apis/35-describe-log-dirs.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ResponseOf } from '../protocol/schema.ts'

/** What a broker's disks hold. */
export type DiskUsage = {
  readonly brokerId: number
  /** Of all its log directories together; -1: not known. */
  readonly totalBytes: number
  readonly usedBytes: number
  /** Bytes of each log, by `sizeKey`. */
  readonly sizes: ReadonlyMap<string, number>
}

/** Asks a broker for its log directories. */
export type AskLogDirs = (brokerId: number) => Promise<ResponseOf<typeof describeLogDirs>>

export const sizeKey = (topic: string, partitionIndex: number): string =>
  `${topic}-${partitionIndex}`

/** Asks brokers what their disks hold. Those that do not answer are left out. */
export async function askDiskUsage(
  brokerIds: readonly number[],
  ask: AskLogDirs,
): Promise<DiskUsage[]> {
  const found: DiskUsage[] = []
  await Promise.all(
    brokerIds.map(async (brokerId) => {
      try {
        found.push(usageOf(brokerId, await ask(brokerId)))
      } catch (error) {
        if (!(error instanceof LmqError)) throw error
      }
    }),
  )
  return found.sort((a, b) => a.brokerId - b.brokerId)
}

function usageOf(brokerId: number, { results }: ResponseOf<typeof describeLogDirs>): DiskUsage {
  let totalBytes = 0
  let usedBytes = 0
  const sizes = new Map<string, number>()
  for (const directory of results) {
    if (directory.errorCode !== ErrorCode.NONE) continue
    if (directory.totalBytes < 0 || directory.usableBytes < 0) totalBytes = -1
    if (totalBytes >= 0) {
      totalBytes += directory.totalBytes
      usedBytes += directory.totalBytes - directory.usableBytes
    }
    for (const { name, partitions } of directory.topics) {
      for (const { partitionIndex, partitionSize, isFutureKey } of partitions) {
        if (!isFutureKey) sizes.set(sizeKey(name, partitionIndex), partitionSize)
      }
    }
  }
  return { brokerId, totalBytes, usedBytes: totalBytes < 0 ? 0 : usedBytes, sizes }
}
