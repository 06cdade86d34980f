import { defineMessage, string } from '../schema.ts'

export const shareGroupMemberMetadataKey = defineMessage({
  name: 'ShareGroupMemberMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
