import { array, defineMessage, int32, string, strings, uuid } from '../schema.ts'

/**
 * Value of key 4 of `__consumer_offsets`: the partitions of subscribed topics (KIP-848). Kafka 4.1 replaced it by
 * the hash in the group's own record.
 */
export const consumerGroupPartitionMetadataValue = defineMessage({
  name: 'ConsumerGroupPartitionMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    topics: array('0+', {
      topicId: uuid('0+'),
      topicName: string('0+'),
      numPartitions: int32('0+'),
      partitionMetadata: array('0+', {
        partition: int32('0+'),
        racks: strings('0+'),
      }),
    }),
  },
})
