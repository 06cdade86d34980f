import { defineMessage, string } from '../schema.ts'

/** Key 13 of `__consumer_offsets`: a member of a share group. */
export const shareGroupTargetAssignmentMemberKey = defineMessage({
  name: 'ShareGroupTargetAssignmentMemberKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    memberId: string('0'),
  },
})
