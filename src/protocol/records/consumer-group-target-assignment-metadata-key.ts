import { defineMessage, string } from '../schema.ts'

/** Key 6 of `__consumer_offsets`: a consumer group. */
export const consumerGroupTargetAssignmentMetadataKey = defineMessage({
  name: 'ConsumerGroupTargetAssignmentMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
