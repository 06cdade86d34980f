import { array, defineMessage, int32s, string, uuid } from '../schema.ts'

const topicPartitionsInfo = {
  topicId: uuid('0+'),
  topicName: string('0+'),
  partitions: int32s('0+'),
}

const topicInfo = {
  topicId: uuid('0+'),
  topicName: string('0+'),
}

/**
 * Value of key 15 of `__consumer_offsets`: which topics have state at the share coordinator, are getting it or
 * losing it (KIP-932).
 */
export const shareGroupStatePartitionMetadataValue = defineMessage({
  name: 'ShareGroupStatePartitionMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    initializingTopics: array('0+', topicPartitionsInfo),
    initializedTopics: array('0+', topicPartitionsInfo),
    deletingTopics: array('0+', topicInfo),
  },
})
