/** Reads all groups and offsets of a partition of `__consumer_offsets` from its log. */
import type { Logger } from '../../base/logger.ts'
import type { Io } from '../../io/io.ts'
import type { CoordinatorLog, GroupSettings } from '../ports.ts'
import { loadRecords } from '../record-loader.ts'
import { GroupOffsets } from './group-offsets.ts'
import { decodeGroupRecord, type GroupMetadata } from './group-records.ts'
import { UnsettledGroups } from './unsettled-groups.ts'

export type LoadedGroups = {
  /** By group id: what its last record says. */
  readonly stored: ReadonlyMap<string, GroupMetadata>
  readonly offsets: GroupOffsets
  readonly unsettled: UnsettledGroups
  readonly records: number
  /** How many of them were left out. */
  readonly unreadable: number
}

type Parts = {
  readonly io: Io
  readonly logger: Logger
  readonly settings: GroupSettings
  readonly log: CoordinatorLog
}

/** Unreadable records are named one by one up to here, then only counted. */
const MAX_LOGGED_RECORDS = 10

/**
 * Records of other group protocols are passed over, those that cannot be read are left out and named in the log: one
 * damaged group must not take all others of its partition with it.
 *
 * @throws LMQ_DISK_READ, LMQ_LOG_DIR_OFFLINE, LMQ_PROTOCOL, LMQ_CODEC_MISSING, LMQ_CODEC_FAILED
 */
export async function loadGroups(parts: Parts, partitionIndex: number): Promise<LoadedGroups> {
  const { io, log, logger, settings } = parts
  const stored = new Map<string, GroupMetadata>()
  const offsets = new GroupOffsets()
  const unsettled = new UnsettledGroups(log, partitionIndex)
  let records = 0
  let unreadable = 0
  await loadRecords(io, log, partitionIndex, settings['offsets.load.buffer.size'], {
    record(key, value, offset, producerId) {
      records++
      try {
        const groupId = visitRecord(key, value, offset, producerId, stored, offsets)
        if (groupId !== undefined) unsettled.note(groupId, offset)
      } catch (error) {
        if (++unreadable > MAX_LOGGED_RECORDS) return
        const reason = error instanceof Error ? error.message : String(error)
        logger.error({ partitionIndex, offset, reason }, 'group record cannot be read: left out')
      }
    },
    endTransaction(producerId, isCommit, offset) {
      for (const groupId of offsets.endTransaction(producerId, isCommit)) {
        unsettled.note(groupId, offset)
      }
    },
  })
  return { stored, offsets, unsettled, records, unreadable }
}

/**
 * The last metadata record of a group is the group; offsets are applied one after the other.
 *
 * @returns the group whose offsets it changes
 */
function visitRecord(
  key: Buffer | null,
  value: Buffer | null,
  offset: number,
  producerId: number,
  stored: Map<string, GroupMetadata>,
  offsets: GroupOffsets,
): string | undefined {
  if (key === null) return undefined
  const record = decodeGroupRecord(key, value)
  if (record.kind === 'offset') {
    offsets.apply(record, offset, producerId)
    return record.groupId
  }
  if (record.kind === 'group' && record.value) stored.set(record.groupId, copied(record.value))
  else if (record.kind === 'group') stored.delete(record.groupId)
  return undefined
}

/** The bytes in it are views of the whole piece that was read: a copy lets that go. */
function copied(metadata: GroupMetadata): GroupMetadata {
  return {
    ...metadata,
    members: metadata.members.map((member) => ({
      ...member,
      subscription: Buffer.from(member.subscription),
      assignment: Buffer.from(member.assignment),
    })),
  }
}
