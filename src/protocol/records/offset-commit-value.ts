import { defineMessage, int32, int64, string, uuid } from '../schema.ts'

/**
 * Value of key 1 of `__consumer_offsets`: what a group has committed for a partition. No value: the offset was
 * deleted or has expired. v1 had an expiry time, v3 leader epoch (KIP-320), v4 compact form and topic id.
 */
export const offsetCommitValue = defineMessage({
  name: 'OffsetCommitValue',
  versions: '0-4',
  flexible: '4+',
  fields: {
    offset: int64('0+'),
    leaderEpoch: int32('3+', { default: -1, ignorable: true }),
    metadata: string('0+'),
    commitTimestamp: int64('0+'),
    expireTimestamp: int64('1', { default: -1, ignorable: true }),
    topicId: uuid('4+', { tag: 0, ignorable: true }),
  },
})
