import { defineMessage, int32, string, uuid } from '../schema.ts'

/** Key 0 of `__share_group_state`: a share partition. */
export const shareSnapshotKey = defineMessage({
  name: 'ShareSnapshotKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    topicId: uuid('0'),
    partition: int32('0'),
  },
})
