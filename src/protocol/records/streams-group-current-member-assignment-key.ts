import { defineMessage, string } from '../schema.ts'

/** Key 22 of `__consumer_offsets`: a member of a Streams group. */
export const streamsGroupCurrentMemberAssignmentKey = defineMessage({
  name: 'StreamsGroupCurrentMemberAssignmentKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
