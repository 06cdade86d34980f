import { defineMessage, string } from '../schema.ts'

/** Key 21 of `__consumer_offsets`: a member of a Streams group. */
export const streamsGroupTargetAssignmentMemberKey = defineMessage({
  name: 'StreamsGroupTargetAssignmentMemberKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
