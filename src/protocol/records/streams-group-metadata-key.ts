import { defineMessage, string } from '../schema.ts'

/** Key 17 of `__consumer_offsets`: a Streams group. */
export const streamsGroupMetadataKey = defineMessage({
  name: 'StreamsGroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
