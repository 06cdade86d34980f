import { defineMessage, string } from '../schema.ts'

export const consumerGroupMetadataKey = defineMessage({
  name: 'ConsumerGroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
