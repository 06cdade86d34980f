import type { StoreEntry, StoreRead, StoreSnapshot } from './metadata-store.ts'

/**
 * `MetadataStore.read` of what is in memory.
 *
 * @param entries those behind `snapshot`, or from index 0 on without one
 */
export function readStored(
  snapshot: StoreSnapshot | undefined,
  entries: readonly StoreEntry[],
  fromIndex: number,
  maxBytes: number,
): StoreRead {
  const first = snapshot ? snapshot.index + 1 : 0
  const behind = fromIndex < first
  const start = behind ? 0 : fromIndex - first
  let bytes = 0
  let end = start
  for (; end < entries.length; end++) {
    bytes += (entries[end] as StoreEntry).payload.length
    if (bytes > maxBytes && end > start) break
  }
  return { snapshot: behind ? snapshot : undefined, entries: entries.slice(start, end) }
}
