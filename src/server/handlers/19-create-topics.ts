import type { TopicCreation } from '../../cluster/topic-commands.ts'
import { describeTopicSettings } from '../../config/describe-config.ts'
import { createTopics } from '../../protocol/apis/19-create-topics.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { withDeadline } from '../deadline.ts'
import { defineHandler, type Services } from '../handler.ts'

type TopicAnswer = ResponseInput<typeof createTopics>['topics'][number]

/** Answered when the topics are committed and this broker leads its part of them: a client may produce at once. */
export const createTopicsHandler = defineHandler({
  api: createTopics,
  versions: '2-7',
  forwards: true,
  requires:
    'CREATE cluster, or CREATE topic:topics[]; DESCRIBE_CONFIGS topic:topics[] to see configs',
  serve: async ({ topics, timeoutMs, validateOnly }, { services }) => {
    const { controller, config, io } = services
    const defaults = {
      numPartitions: config['num.partitions'],
      replicationFactor: defaultReplicationFactor(services),
    }
    const created = await withDeadline(io.timers, timeoutMs, () =>
      controller.createTopics({ topics, validateOnly, defaults }),
    )
    return { topics: created.map((creation) => toAnswer(creation, services)) }
  },
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ name }) => ({ ...nothing, name, errorCode, errorMessage: null })),
  }),
})

/** A cluster that has not all of its brokers yet makes topics, too. */
function defaultReplicationFactor({ config, cluster, image }: Services): number {
  const wanted = config['default.replication.factor']
  return cluster ? Math.min(wanted, Math.max(1, image.brokers.size)) : wanted
}

const nothing: Pick<TopicAnswer, 'numPartitions' | 'replicationFactor' | 'configs' | 'topicId'> = {
  topicId: ZERO_UUID,
  numPartitions: -1,
  replicationFactor: -1,
  configs: [],
}

function toAnswer(creation: TopicCreation, { settings }: Services): TopicAnswer {
  const { name, topicId, errorCode, errorMessage, numPartitions, replicationFactor } = creation
  if (errorCode !== ErrorCode.NONE) return { ...nothing, name, errorCode, errorMessage }
  const described = describeTopicSettings(creation.configs, settings)
  described.sort((a, b) => (a.name < b.name ? -1 : 1))
  return {
    name,
    topicId,
    errorCode,
    errorMessage,
    topicConfigErrorCode: ErrorCode.NONE,
    numPartitions,
    replicationFactor,
    configs: described.map(({ name, value, readOnly, configSource, isSensitive }) => ({
      name,
      value,
      readOnly,
      configSource,
      isSensitive,
    })),
  }
}
