import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { Controller } from './controller.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { NewTopic, TopicCreation } from './topic-commands.ts'
import { InternalTopic } from './topic-name.ts'

export type AutoTopicCreationOptions = {
  readonly controller: Pick<Controller, 'createTopics'>
  readonly image: MetadataImage
  readonly config: BrokerConfig
  readonly logger: Logger
  /** There are other brokers, perhaps not all of them yet: topics get as many replicas as can be. */
  readonly inCluster?: boolean
  /**
   * Brokers of this cluster may be about to register for the first time. What coordinators need is not made with fewer
   * replicas than it should have for ever: it waits for them, which clients take for a coordinator that is starting.
   */
  readonly brokersMayJoin?: () => boolean
}

/** Refusals that are logged; a client that asks ten times a second must not fill the log. */
const MAX_TOLD = 1_000

/** The least that the topic setting `segment.bytes` takes. */
const MIN_SEGMENT_BYTES = 1_048_576

type InternalPrefix = 'offsets.topic' | 'transaction.state.log' | 'share.coordinator.state.topic'

/** By topic: what its settings begin with. */
const internalPrefixes: ReadonlyMap<string, InternalPrefix> = new Map<string, InternalPrefix>([
  [InternalTopic.groupMetadata, 'offsets.topic'],
  [InternalTopic.transactionState, 'transaction.state.log'],
  [InternalTopic.shareGroupState, 'share.coordinator.state.topic'],
])

/**
 * Makes topics that a client named or a coordinator needs. Requests for a topic that is being made wait for it, so a
 * group of clients that start together makes it once. Whether a client may cause this is for the caller to know.
 */
export class AutoTopicCreation {
  readonly #options: AutoTopicCreationOptions
  readonly #underWay = new Map<string, Promise<ErrorCode>>()
  readonly #told = new Set<string>()

  constructor(options: AutoTopicCreationOptions) {
    this.#options = options
  }

  /**
   * Resolves when each topic is in this broker's image or could not be made.
   *
   * @returns NONE; INVALID_TOPIC_EXCEPTION for a name that can never be; otherwise UNKNOWN_TOPIC_OR_PARTITION, on which
   *   clients look again: what is wrong may be mended meanwhile (as Kafka answers, AutoTopicCreationManager.scala)
   */
  async create(topics: readonly string[]): Promise<ReadonlyMap<string, ErrorCode>> {
    const waiting = new Map<string, Promise<ErrorCode>>()
    const missing: string[] = []
    for (const topic of new Set(topics)) {
      const underWay = this.#underWay.get(topic)
      if (underWay) waiting.set(topic, underWay)
      else if (!this.#options.image.topics.has(topic)) missing.push(topic)
    }
    if (missing.length > 0) {
      const created = this.#createAll(missing)
      for (const topic of missing) {
        const outcome = created
          .then((outcomes) => outcomes.get(topic) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
          .finally(() => this.#underWay.delete(topic))
        this.#underWay.set(topic, outcome)
        waiting.set(topic, outcome)
      }
    }
    const outcomes = new Map<string, ErrorCode>()
    for (const topic of topics) outcomes.set(topic, (await waiting.get(topic)) ?? ErrorCode.NONE)
    return outcomes
  }

  /** Never rejects. */
  async #createAll(topics: readonly string[]): Promise<Map<string, ErrorCode>> {
    const { controller, config, image, logger } = this.#options
    const outcomes = new Map<string, ErrorCode>()
    const wanted = topics.filter((topic) => !this.#waitsForBrokers(topic))
    if (wanted.length === 0) return outcomes
    try {
      const created = await controller.createTopics({
        topics: wanted.map((topic) => this.#describe(topic)),
        validateOnly: false,
        defaults: {
          numPartitions: config['num.partitions'],
          replicationFactor: this.#options.inCluster
            ? Math.min(config['default.replication.factor'], Math.max(1, image.brokers.size))
            : config['default.replication.factor'],
        },
      })
      for (const creation of created) outcomes.set(creation.name, this.#outcomeOf(creation))
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      logger.warn({ topics: topics.slice(0, 10), code: error.code }, 'topics could not be created')
    }
    return outcomes
  }

  #waitsForBrokers(topic: string): boolean {
    const { config, image, brokersMayJoin } = this.#options
    const prefix = internalPrefixes.get(topic)
    if (prefix === undefined || brokersMayJoin?.() !== true) return false
    return image.brokers.size < config[`${prefix}.replication.factor`]
  }

  #outcomeOf({ name, errorCode, errorMessage }: TopicCreation): ErrorCode {
    switch (errorCode) {
      case ErrorCode.NONE:
      case ErrorCode.TOPIC_ALREADY_EXISTS:
        return ErrorCode.NONE
      case ErrorCode.INVALID_TOPIC_EXCEPTION:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
      default: {
        if (this.#told.size >= MAX_TOLD) this.#told.clear()
        if (!this.#told.has(name)) {
          const facts = { topic: name, reason: errorMessage }
          this.#options.logger.warn(facts, 'a topic that a client asked for cannot be created')
        }
        this.#told.add(name)
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      }
    }
  }

  #describe(topic: string): NewTopic {
    const { config } = this.#options
    switch (topic) {
      case InternalTopic.groupMetadata:
        return this.#internal(topic, 'offsets.topic', {
          'cleanup.policy': 'compact',
          'compression.type': 'producer',
        })
      case InternalTopic.transactionState:
        return this.#internal(topic, 'transaction.state.log', {
          'cleanup.policy': 'compact',
          'compression.type': 'uncompressed',
          'unclean.leader.election.enable': 'false',
          'min.insync.replicas': String(config['transaction.state.log.min.isr']),
        })
      case InternalTopic.shareGroupState:
        return this.#internal(topic, 'share.coordinator.state.topic', {
          'cleanup.policy': 'delete',
          'compression.type': 'producer',
          'retention.ms': '-1',
          'min.insync.replicas': String(config['share.coordinator.state.topic.min.isr']),
        })
      default:
        return {
          name: topic,
          numPartitions: -1,
          replicationFactor: -1,
          assignments: [],
          configs: [],
        }
    }
  }

  /** The replication factor is capped by the brokers that there are: a development default. */
  #internal(
    name: string,
    prefix: InternalPrefix,
    configs: Readonly<Record<string, string>>,
  ): NewTopic {
    const { config, image } = this.#options
    const segmentBytes = Math.max(MIN_SEGMENT_BYTES, config[`${prefix}.segment.bytes`])
    const all = { ...configs, 'segment.bytes': String(segmentBytes) }
    return {
      name,
      numPartitions: config[`${prefix}.num.partitions`],
      replicationFactor: Math.min(
        config[`${prefix}.replication.factor`],
        Math.max(1, image.brokers.size),
      ),
      assignments: [],
      configs: Object.entries(all).map(([name, value]) => ({ name, value })),
    }
  }
}
