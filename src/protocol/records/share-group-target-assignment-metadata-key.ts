import { defineMessage, string } from '../schema.ts'

export const shareGroupTargetAssignmentMetadataKey = defineMessage({
  name: 'ShareGroupTargetAssignmentMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
