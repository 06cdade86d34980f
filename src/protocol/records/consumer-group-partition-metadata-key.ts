import { defineMessage, string } from '../schema.ts'

export const consumerGroupPartitionMetadataKey = defineMessage({
  name: 'ConsumerGroupPartitionMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
