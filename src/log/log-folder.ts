import { join } from 'node:path'
import type { Disk } from '../io/io.ts'
import { lastOffsetOf } from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scan.ts'
import { offsetOfFileName, Suffix } from './log-files.ts'
import { exhaust, Segment, type SegmentShared } from './segment.ts'

export type LogFolder = {
  /** By base offset. */
  segments: Segment[]
  snapshotOffsets: number[]
  names: ReadonlySet<string>
}

/** Lists a partition's folder after finishing or undoing what an unfinished compaction or deletion left there. */
export function readLogFolder(shared: SegmentShared, folder: string, nowMs: number): LogFolder {
  const { disk } = shared
  let names = disk.listSync(folder).map(({ name }) => name)
  if (names.some(isTemporary)) {
    finishSwaps(disk, folder, names)
    names = disk.listSync(folder).map(({ name }) => name)
  }
  const segments: Segment[] = []
  const snapshotOffsets: number[] = []
  for (const name of names) {
    const offset = offsetOfFileName(name)
    if (offset === undefined) continue
    if (name.endsWith(Suffix.log)) segments.push(new Segment(shared, folder, offset, nowMs))
    else if (name.endsWith(Suffix.snapshot)) snapshotOffsets.push(offset)
  }
  segments.sort((a, b) => a.baseOffset - b.baseOffset)
  snapshotOffsets.sort((a, b) => a - b)
  return { segments, snapshotOffsets, names: new Set(names) }
}

function isTemporary(name: string): boolean {
  return (
    name.endsWith(Suffix.deleted) ||
    name.endsWith(Suffix.cleaned) ||
    name.endsWith(Suffix.swap) ||
    name.endsWith('.tmp')
  )
}

/**
 * `.cleaned`: compaction was not done, so it goes, and so do `.swap` files at or above it (the same swap, half renamed).
 * `.swap`: compaction was done, so the segments that it covers go and it takes its place. `.deleted`: goes.
 */
function finishSwaps(disk: Disk, folder: string, names: readonly string[]): void {
  const remove = (name: string) => disk.removeFileSync(join(folder, name))
  const cleaned = names.filter((name) => name.endsWith(Suffix.cleaned))
  const firstCleaned = Math.min(...cleaned.map((name) => offsetOfFileName(name) ?? 0))
  for (const name of names) {
    if (isTemporary(name) && !name.endsWith(Suffix.swap)) remove(name)
  }
  const swaps = names.filter((name) => name.endsWith(Suffix.swap))
  const valid = swaps.filter((name) => (offsetOfFileName(name) ?? 0) < firstCleaned)
  for (const name of swaps) if (!valid.includes(name)) remove(name)
  for (const name of valid) {
    if (!name.endsWith(Suffix.log + Suffix.swap)) continue
    const from = offsetOfFileName(name) ?? 0
    const to = endOffsetOf(disk, join(folder, name), from)
    removeCovered(disk, folder, names, from, to)
  }
  for (const name of valid) {
    disk.renameSync(join(folder, name), join(folder, name.slice(0, -Suffix.swap.length)))
  }
}

/** Removes the old segments in [from, to), and the index files of the one that is about to be replaced. */
function removeCovered(
  disk: Disk,
  folder: string,
  names: readonly string[],
  from: number,
  to: number,
): void {
  for (const name of names) {
    const offset = offsetOfFileName(name)
    if (offset === undefined || isTemporary(name) || name.endsWith(Suffix.snapshot)) continue
    const isCovered = offset === from || (offset >= from && offset < to)
    if (isCovered) disk.removeFileSync(join(folder, name))
  }
}

function endOffsetOf(disk: Disk, path: string, baseOffset: number): number {
  let end = baseOffset
  const file = disk.openSync(path, 'read')
  try {
    exhaust(
      scanBatches(file, 0, file.sizeSync(), undefined, (buffer, at) => {
        end = lastOffsetOf(buffer, at) + 1
        return true
      }),
    )
  } finally {
    file.closeSync()
  }
  return end
}
