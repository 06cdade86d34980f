import { defineMessage, string } from '../schema.ts'

/** Key 20 of `__consumer_offsets`: a Streams group. */
export const streamsGroupTargetAssignmentMetadataKey = defineMessage({
  name: 'StreamsGroupTargetAssignmentMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
