import { array, defineMessage, int16, int16s, int32, string, strings } from '../schema.ts'

const topicConfig = {
  key: string('0+'),
  value: string('0+'),
}

const topicInfo = {
  name: string('0+'),
  partitions: int32('0+'),
  replicationFactor: int16('0+'),
  topicConfigs: array('0+', topicConfig),
}

/**
 * Value of key 23 of `__consumer_offsets`: the subtopologies of a Streams program with their topics (KIP-1071).
 */
export const streamsGroupTopologyValue = defineMessage({
  name: 'StreamsGroupTopologyValue',
  versions: '0',
  flexible: '0+',
  fields: {
    epoch: int32('0+'),
    subtopologies: array('0+', {
      subtopologyId: string('0+'),
      sourceTopics: strings('0+'),
      sourceTopicRegex: strings('0+'),
      stateChangelogTopics: array('0+', topicInfo),
      repartitionSinkTopics: strings('0+'),
      repartitionSourceTopics: array('0+', topicInfo),
      copartitionGroups: array('0+', {
        sourceTopics: int16s('0+'),
        sourceTopicRegex: int16s('0+'),
        repartitionSourceTopics: int16s('0+'),
      }),
    }),
  },
})
