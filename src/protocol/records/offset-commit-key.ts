import { defineMessage, int32, string } from '../schema.ts'

/** Key 1 of `__consumer_offsets`: a group and partition. */
export const offsetCommitKey = defineMessage({
  name: 'OffsetCommitKey',
  versions: '0',
  flexible: 'none',
  fields: {
    group: string('0'),
    topic: string('0'),
    partition: int32('0'),
  },
})
