import { defineMessage, string } from '../schema.ts'

export const shareGroupTargetAssignmentMemberKey = defineMessage({
  name: 'ShareGroupTargetAssignmentMemberKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
