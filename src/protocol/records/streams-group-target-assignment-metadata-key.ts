import { defineMessage, string } from '../schema.ts'

export const streamsGroupTargetAssignmentMetadataKey = defineMessage({
  name: 'StreamsGroupTargetAssignmentMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
