import { defineMessage, string } from '../schema.ts'

/** Key 5 of `__consumer_offsets`: a member of a consumer group. */
export const consumerGroupMemberMetadataKey = defineMessage({
  name: 'ConsumerGroupMemberMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
