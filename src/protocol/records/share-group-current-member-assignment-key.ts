import { defineMessage, string } from '../schema.ts'

/** Key 14 of `__consumer_offsets`: a member of a share group. */
export const shareGroupCurrentMemberAssignmentKey = defineMessage({
  name: 'ShareGroupCurrentMemberAssignmentKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
