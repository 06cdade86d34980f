/** Places in a partition as a person writes them. */
import type { Client } from '../client/client.ts'
import type { CommittedOffset, TopicPartition } from '../client/committed-offsets.ts'
import { listOffsets, OffsetSpec } from '../client/offsets.ts'
import { UsageError } from './error-sentence.ts'

export type Place =
  | { readonly kind: 'beginning' | 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  /** So many records before the end. */
  | { readonly kind: 'last'; readonly count: number }
  /** The first record at or after it; milliseconds since 1970. */
  | { readonly kind: 'time'; readonly timestamp: number }

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * `beginning`, `end`, an offset, `-N`, `@milliseconds`, an ISO date and time, or a time ago such as `10m`.
 *
 * @throws {UsageError}
 */
export function parsePlace(text: string, nowMs: number = Date.now()): Place {
  const word = text.trim()
  if (word === 'beginning' || word === 'earliest') return { kind: 'beginning' }
  if (word === 'end' || word === 'latest') return { kind: 'end' }
  if (/^\d{1,15}$/.test(word)) return { kind: 'offset', offset: Number(word) }
  if (/^-\d{1,15}$/.test(word)) return { kind: 'last', count: Number(word.slice(1)) }
  if (/^@\d{1,15}$/.test(word)) return { kind: 'time', timestamp: Number(word.slice(1)) }
  const ago = /^(\d{1,9})(s|m|h|d)$/.exec(word)
  if (ago) {
    const timestamp = nowMs - Number(ago[1]) * (units[ago[2] ?? ''] ?? 0)
    return { kind: 'time', timestamp: Math.max(0, timestamp) }
  }
  const timestamp = /^\d{4}-\d{2}-\d{2}/.test(word) ? Date.parse(word) : Number.NaN
  if (!Number.isNaN(timestamp)) return { kind: 'time', timestamp }
  throw new UsageError(
    `${text}: give beginning, end, an offset, -N for N before the end, a time ago (10m, 2h, 1d), @milliseconds or a date (2026-01-31T12:00:00Z)`,
  )
}

/** The offsets of a place, never outside of what each partition holds; a time after the last record is the end. */
export async function resolvePlaces(
  client: Client,
  partitions: readonly TopicPartition[],
  place: Place,
): Promise<CommittedOffset[]> {
  const ask = (timestamp: number) =>
    listOffsets(
      client,
      partitions.map((each) => ({ ...each, timestamp })),
    )
  const [starts, ends] = await Promise.all([ask(OffsetSpec.earliest), ask(OffsetSpec.latest)])
  const byTime = place.kind === 'time' ? await ask(place.timestamp) : []
  return partitions.map(({ topic, partitionIndex }, at) => {
    const start = starts[at]?.offset ?? 0
    const end = ends[at]?.offset ?? 0
    const wanted = (): number => {
      if (place.kind === 'beginning') return start
      if (place.kind === 'offset') return place.offset
      if (place.kind === 'last') return end - place.count
      const found = place.kind === 'time' ? (byTime[at]?.offset ?? -1) : -1
      return found < 0 ? end : found
    }
    const offset = Math.max(start, Math.min(end, wanted()))
    return { topic, partitionIndex, offset }
  })
}
