import { defineMessage, string } from '../schema.ts'

export const streamsGroupTargetAssignmentMemberKey = defineMessage({
  name: 'StreamsGroupTargetAssignmentMemberKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
