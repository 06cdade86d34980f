/**
 * The records of `__consumer_offsets` that classic groups write and read, in Kafka's own format: an int16 before each key
 * is the record's type, before each value the schema version. Versions written are those of Kafka 4.3.
 */

import { protocolError } from '../../protocol/protocol-error.ts'
import { groupMetadataKey } from '../../protocol/records/group-metadata-key.ts'
import { groupMetadataValue } from '../../protocol/records/group-metadata-value.ts'
import { legacyOffsetCommitKey } from '../../protocol/records/legacy-offset-commit-key.ts'
import { offsetCommitKey } from '../../protocol/records/offset-commit-key.ts'
import { offsetCommitValue } from '../../protocol/records/offset-commit-value.ts'
import type { MessageOf } from '../../protocol/schema.ts'
import type { Uuid } from '../../protocol/uuid.ts'
import { inRange, type VersionRange } from '../../protocol/versions.ts'

/** A group's membership as it is stored: of the generation whose assignment was last given out, or of none. */
export type GroupMetadata = MessageOf<typeof groupMetadataValue>

/** One partition's committed position in a group. */
export type CommittedOffset = {
  readonly offset: number
  /** -1: not known. */
  readonly leaderEpoch: number
  readonly metadata: string
  readonly commitTimestampMs: number
  /** A fixed end of life that old clients may ask for (OffsetCommit v2-v4); -1: by the group's retention. */
  readonly expireTimestampMs: number
  /** Zero: the commit did not tell. */
  readonly topicId: Uuid
}

/** A null value is a tombstone. */
export type OffsetRecord = {
  readonly kind: 'offset'
  readonly groupId: string
  readonly topic: string
  readonly partitionIndex: number
  readonly value: CommittedOffset | null
}

export type GroupMetadataRecord = {
  readonly kind: 'group'
  readonly groupId: string
  readonly value: GroupMetadata | null
}

export type GroupRecord = OffsetRecord | GroupMetadataRecord

/** Types of other group protocols, which this coordinator does not serve. */
export type ForeignRecord = { readonly kind: 'foreign'; readonly type: number }

const RecordType = { legacyOffset: 0, offset: 1, group: 2 } as const

/** Which layout a value gets: Kafka writes an explicit expiry in version 1, which alone has that field. */
const GROUP_VERSION = 3
const OFFSET_VERSION = 4
const OFFSET_VERSION_WITH_EXPIRY = 1

export type EncodedRecord = { readonly key: Buffer; readonly value: Buffer | null }

export function encodeGroupRecord(record: GroupRecord): EncodedRecord {
  if (record.kind === 'group') {
    const { groupId, value } = record
    return {
      key: versioned(RecordType.group, groupMetadataKey.encode({ group: groupId }, 0)),
      value: value && versioned(GROUP_VERSION, groupMetadataValue.encode(value, GROUP_VERSION)),
    }
  }
  const key = { group: record.groupId, topic: record.topic, partition: record.partitionIndex }
  return {
    key: versioned(RecordType.offset, offsetCommitKey.encode(key, 0)),
    value: record.value && encodeOffset(record.value),
  }
}

function encodeOffset(committed: CommittedOffset): Buffer {
  const version = committed.expireTimestampMs === -1 ? OFFSET_VERSION : OFFSET_VERSION_WITH_EXPIRY
  const value = {
    offset: committed.offset,
    leaderEpoch: committed.leaderEpoch,
    metadata: committed.metadata,
    commitTimestamp: committed.commitTimestampMs,
    expireTimestamp: committed.expireTimestampMs,
    topicId: committed.topicId,
  }
  return versioned(version, offsetCommitValue.encode(value, version))
}

function versioned(version: number, message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(2 + message.length)
  bytes.writeInt16BE(version, 0)
  message.copy(bytes, 2)
  return bytes
}

/**
 * Reads a record back. Byte fields of the value are views of `value`.
 *
 * @throws LMQ_PROTOCOL when it is of a known type but does not follow its layout, or its value has a newer version
 */
export function decodeGroupRecord(key: Buffer, value: Buffer | null): GroupRecord | ForeignRecord {
  const type = key.length < 2 ? -1 : key.readInt16BE(0)
  if (type === RecordType.group) {
    return {
      kind: 'group',
      groupId: groupMetadataKey.decode(key, 0, 2).group,
      value:
        value && groupMetadataValue.decode(value, versionOf(value, groupMetadataValue.versions), 2),
    }
  }
  // Types 0 and 1 differ only in who wrote them: the key's number was the value's version once.
  if (type === RecordType.offset || type === RecordType.legacyOffset) {
    const layout = type === RecordType.offset ? offsetCommitKey : legacyOffsetCommitKey
    const { group, topic, partition } = layout.decode(key, 0, 2)
    return {
      kind: 'offset',
      groupId: group,
      topic,
      partitionIndex: partition,
      value: value && decodeOffset(value),
    }
  }
  return { kind: 'foreign', type }
}

function decodeOffset(bytes: Buffer): CommittedOffset {
  const value = offsetCommitValue.decode(bytes, versionOf(bytes, offsetCommitValue.versions), 2)
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: value.commitTimestamp,
    expireTimestampMs: value.expireTimestamp,
    topicId: value.topicId,
  }
}

function versionOf(value: Buffer, known: VersionRange): number {
  const version = value.length < 2 ? -1 : value.readInt16BE(0)
  if (!inRange(known, version))
    throw protocolError('record value of an unknown version', { version })
  return version
}
