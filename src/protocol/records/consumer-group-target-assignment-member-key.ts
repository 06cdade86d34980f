import { defineMessage, string } from '../schema.ts'

/** Key 7 of `__consumer_offsets`: a member of a consumer group. */
export const consumerGroupTargetAssignmentMemberKey = defineMessage({
  name: 'ConsumerGroupTargetAssignmentMemberKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
