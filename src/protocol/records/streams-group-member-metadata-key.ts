import { defineMessage, string } from '../schema.ts'

/** Key 19 of `__consumer_offsets`: a member of a Streams group. */
export const streamsGroupMemberMetadataKey = defineMessage({
  name: 'StreamsGroupMemberMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
