import { defineMessage, string } from '../schema.ts'

/** Key 10 of `__consumer_offsets`: a member of a share group. */
export const shareGroupMemberMetadataKey = defineMessage({
  name: 'ShareGroupMemberMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
