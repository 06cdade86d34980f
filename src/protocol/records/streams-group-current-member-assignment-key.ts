import { defineMessage, string } from '../schema.ts'

export const streamsGroupCurrentMemberAssignmentKey = defineMessage({
  name: 'StreamsGroupCurrentMemberAssignmentKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
