import { defineMessage, string } from '../schema.ts'

/** Key 15 of `__consumer_offsets`: a share group. */
export const shareGroupStatePartitionMetadataKey = defineMessage({
  name: 'ShareGroupStatePartitionMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
