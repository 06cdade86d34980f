/**
 * The committed offsets of all groups of one partition of `__consumer_offsets`, with what open transactions would commit.
 * `apply` is the only thing that changes it: for live commits once they are written, and for loading.
 */
import type { CommittedOffset, OffsetRecord } from './group-records.ts'

/** Not part of a transaction. */
export const NO_PRODUCER = -1

/** What a record said and where it stands in the log. */
export type StoredOffset = CommittedOffset & { readonly recordOffset: number }
type OffsetsByTopic = Map<string, Map<number, StoredOffset>>
type OffsetsByGroup = Map<string, OffsetsByTopic>

export class GroupOffsets {
  /** Committed offsets of all groups together. */
  count = 0
  readonly #committed: OffsetsByGroup = new Map()
  /** By producer id: written in a transaction that is still open. */
  readonly #pending = new Map<number, OffsetsByGroup>()

  get(groupId: string, topic: string, partitionIndex: number): StoredOffset | undefined {
    return this.#committed.get(groupId)?.get(topic)?.get(partitionIndex)
  }

  /** Undefined: the group has none. */
  ofGroup(groupId: string): ReadonlyMap<string, ReadonlyMap<number, StoredOffset>> | undefined {
    return this.#committed.get(groupId)
  }

  /**
   * @param recordOffset where the record stands in the log: of a transactional and a plain commit the later record wins
   * @param producerId the transaction's producer, or NO_PRODUCER
   */
  apply(record: OffsetRecord, recordOffset: number, producerId = NO_PRODUCER): void {
    const { groupId, topic, partitionIndex, value } = record
    if (value === null) {
      this.#remove(groupId, topic, partitionIndex)
    } else if (producerId === NO_PRODUCER) {
      this.#commit(groupId, topic, partitionIndex, { ...value, recordOffset })
    } else {
      let pending = this.#pending.get(producerId)
      if (!pending) {
        pending = new Map()
        this.#pending.set(producerId, pending)
      }
      place(pending, groupId, topic).set(partitionIndex, { ...value, recordOffset })
    }
  }

  /**
   * The producer's transaction ended: what it wrote counts from now, or never.
   *
   * @returns the groups whose offsets became committed
   */
  endTransaction(producerId: number, isCommit: boolean): string[] {
    const pending = this.#pending.get(producerId)
    this.#pending.delete(producerId)
    if (!pending || !isCommit) return []
    for (const [groupId, topics] of pending) {
      for (const [topic, partitions] of topics) {
        for (const [partitionIndex, stored] of partitions) {
          const current = this.get(groupId, topic, partitionIndex)
          if (current && current.recordOffset > stored.recordOffset) continue
          this.#commit(groupId, topic, partitionIndex, stored)
        }
      }
    }
    return [...pending.keys()]
  }

  /** Whether an open transaction would change this partition's offset. */
  hasPending(groupId: string, topic: string, partitionIndex: number): boolean {
    for (const pending of this.#pending.values()) {
      if (pending.get(groupId)?.get(topic)?.has(partitionIndex)) return true
    }
    return false
  }

  /** Whether an open transaction would commit anything for this group. */
  hasOpenTransaction(groupId: string): boolean {
    for (const pending of this.#pending.values()) if (pending.has(groupId)) return true
    return false
  }

  /** The record that removes one offset; undefined when there is none, not even a pending one. */
  tombstone(groupId: string, topic: string, partitionIndex: number): OffsetRecord | undefined {
    const exists =
      this.get(groupId, topic, partitionIndex) !== undefined ||
      this.hasPending(groupId, topic, partitionIndex)
    return exists ? { kind: 'offset', groupId, topic, partitionIndex, value: null } : undefined
  }

  /** The records that remove all offsets of a group, pending ones too. */
  tombstonesOfGroup(groupId: string): OffsetRecord[] {
    const found: OffsetRecord[] = []
    for (const groups of this.#holders()) {
      for (const [topic, partitions] of groups.get(groupId) ?? []) {
        found.push(...tombstones(groupId, topic, partitions))
      }
    }
    return withoutRepeats(found)
  }

  /** The records that remove the offsets of deleted topics from every group. */
  tombstonesOfTopics(topics: ReadonlySet<string>): OffsetRecord[] {
    const found: OffsetRecord[] = []
    for (const groups of this.#holders()) {
      for (const [groupId, offsets] of groups) {
        for (const topic of topics) {
          const partitions = offsets.get(topic)
          if (partitions) found.push(...tombstones(groupId, topic, partitions))
        }
      }
    }
    return withoutRepeats(found)
  }

  /**
   * The records that remove a group's offsets whose time has come. Partitions with a pending commit stay.
   *
   * @param mayExpire whether a topic's offsets may expire now
   * @param startOf from when the retention of an offset counts, by its commit time
   */
  expired(
    groupId: string,
    mayExpire: (topic: string) => boolean,
    startOf: (commitTimestampMs: number) => number,
    nowMs: number,
    retentionMs: number,
  ): OffsetRecord[] {
    const found: OffsetRecord[] = []
    for (const [topic, partitions] of this.#committed.get(groupId) ?? []) {
      if (!mayExpire(topic)) continue
      for (const [partitionIndex, stored] of partitions) {
        const isDue =
          stored.expireTimestampMs === -1
            ? nowMs - startOf(stored.commitTimestampMs) >= retentionMs
            : nowMs >= stored.expireTimestampMs
        if (!isDue || this.hasPending(groupId, topic, partitionIndex)) continue
        found.push({ kind: 'offset', groupId, topic, partitionIndex, value: null })
      }
    }
    return found
  }

  /** How many offsets a group has. */
  countOf(groupId: string): number {
    let count = 0
    for (const partitions of this.#committed.get(groupId)?.values() ?? []) count += partitions.size
    return count
  }

  /** Groups that have offsets. */
  groupIds(): IterableIterator<string> {
    return this.#committed.keys()
  }

  #holders(): OffsetsByGroup[] {
    return [this.#committed, ...this.#pending.values()]
  }

  #commit(groupId: string, topic: string, partitionIndex: number, stored: StoredOffset): void {
    const partitions = place(this.#committed, groupId, topic)
    if (!partitions.has(partitionIndex)) this.count++
    partitions.set(partitionIndex, stored)
  }

  #remove(groupId: string, topic: string, partitionIndex: number): void {
    if (removeFrom(this.#committed, groupId, topic, partitionIndex)) this.count--
    for (const pending of this.#pending.values()) {
      removeFrom(pending, groupId, topic, partitionIndex)
    }
  }
}

function tombstones(
  groupId: string,
  topic: string,
  partitions: ReadonlyMap<number, StoredOffset>,
): OffsetRecord[] {
  return [...partitions.keys()].map((partitionIndex) => ({
    kind: 'offset',
    groupId,
    topic,
    partitionIndex,
    value: null,
  }))
}

/** An offset may be there both committed and pending: one record removes both. */
function withoutRepeats(records: OffsetRecord[]): OffsetRecord[] {
  const found = new Map<string, OffsetRecord>()
  for (const record of records) {
    found.set(JSON.stringify([record.groupId, record.topic, record.partitionIndex]), record)
  }
  return [...found.values()]
}

function place(groups: OffsetsByGroup, groupId: string, topic: string): Map<number, StoredOffset> {
  let topics = groups.get(groupId)
  if (!topics) {
    topics = new Map()
    groups.set(groupId, topics)
  }
  let partitions = topics.get(topic)
  if (!partitions) {
    partitions = new Map()
    topics.set(topic, partitions)
  }
  return partitions
}

function removeFrom(
  groups: OffsetsByGroup,
  groupId: string,
  topic: string,
  partitionIndex: number,
): boolean {
  const topics = groups.get(groupId)
  const partitions = topics?.get(topic)
  if (!topics || !partitions?.delete(partitionIndex)) return false
  if (partitions.size === 0) topics.delete(topic)
  if (topics.size === 0) groups.delete(groupId)
  return true
}
