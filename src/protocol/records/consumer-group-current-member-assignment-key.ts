import { defineMessage, string } from '../schema.ts'

/** Key 8 of `__consumer_offsets`: a member of a consumer group. */
export const consumerGroupCurrentMemberAssignmentKey = defineMessage({
  name: 'ConsumerGroupCurrentMemberAssignmentKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
