import { defineMessage, string } from '../schema.ts'

/** Key 12 of `__consumer_offsets`: a share group. */
export const shareGroupTargetAssignmentMetadataKey = defineMessage({
  name: 'ShareGroupTargetAssignmentMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
