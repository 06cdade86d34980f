import { defineMessage, int32, string } from '../schema.ts'

/** Key 0 of `__consumer_offsets`: a group and partition, as releases before 0.9 wrote it. */
export const legacyOffsetCommitKey = defineMessage({
  name: 'LegacyOffsetCommitKey',
  versions: '0',
  flexible: 'none',
  fields: {
    group: string('0'),
    topic: string('0'),
    partition: int32('0'),
  },
})
