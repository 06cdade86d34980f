import { defineMessage, string } from '../schema.ts'

export const shareGroupCurrentMemberAssignmentKey = defineMessage({
  name: 'ShareGroupCurrentMemberAssignmentKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
