import { defineMessage, string } from '../schema.ts'

export const streamsGroupMemberMetadataKey = defineMessage({
  name: 'StreamsGroupMemberMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
