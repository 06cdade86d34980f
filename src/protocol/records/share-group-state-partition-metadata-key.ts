import { defineMessage, string } from '../schema.ts'

export const shareGroupStatePartitionMetadataKey = defineMessage({
  name: 'ShareGroupStatePartitionMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
