import { defineMessage, string } from '../schema.ts'

export const streamsGroupMetadataKey = defineMessage({
  name: 'StreamsGroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
