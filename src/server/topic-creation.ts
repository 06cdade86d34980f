import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Controller } from '../cluster/controller.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { NewTopic } from '../cluster/topic-commands.ts'
import { InternalTopic } from '../cluster/topic-name.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import { ErrorCode } from '../protocol/error-code.ts'

export type TopicCreationParts = {
  readonly controller: Controller
  readonly image: MetadataImage
  readonly config: BrokerConfig
  readonly logger: Logger
}

/** Makes topics that nobody made by hand: those that a client names, and those that the coordinators need. */
export class TopicCreator {
  readonly #parts: TopicCreationParts
  /** Creations under way: many clients ask for the same new topic at once. */
  readonly #pending = new Map<string, Promise<ErrorCode>>()

  constructor(parts: TopicCreationParts) {
    this.#parts = parts
  }

  /**
   * Makes each topic that is missing. Resolves when this broker's image has them.
   *
   * @returns for each topic NONE, or what its client is told
   */
  async create(topics: readonly string[]): Promise<ReadonlyMap<string, ErrorCode>> {
    const outcomes = new Map<string, ErrorCode>()
    const fresh = topics.filter((topic) => !this.#pending.has(topic))
    if (fresh.length > 0) this.#begin(fresh)
    for (const topic of topics) {
      outcomes.set(topic, (await this.#pending.get(topic)) ?? ErrorCode.NONE)
    }
    return outcomes
  }

  #begin(topics: readonly string[]): void {
    const work = this.#createNow(topics)
    for (const topic of topics) {
      const outcome = work
        .then((outcomes) => outcomes.get(topic) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        .finally(() => this.#pending.delete(topic))
      this.#pending.set(topic, outcome)
    }
  }

  async #createNow(topics: readonly string[]): Promise<Map<string, ErrorCode>> {
    const { controller, config, logger } = this.#parts
    const outcomes = new Map<string, ErrorCode>()
    try {
      const created = await controller.createTopics({
        topics: topics.map((topic) => this.#describe(topic)),
        validateOnly: false,
        defaults: {
          numPartitions: config['num.partitions'],
          replicationFactor: config['default.replication.factor'],
        },
      })
      for (const { name, errorCode, errorMessage } of created) {
        outcomes.set(name, outcomeFor(errorCode))
        if (outcomeFor(errorCode) === ErrorCode.NONE) continue
        const facts = { topic: name, errorCode, reason: errorMessage }
        logger.warn(facts, 'a topic that a client named could not be created')
      }
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      logger.warn({ topics, code: error.code }, `topics could not be created: ${error.message}`)
    }
    return outcomes
  }

  #describe(name: string): NewTopic {
    const plain = { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] }
    if (name !== InternalTopic.groupMetadata) return plain
    const { config, image } = this.#parts
    let brokers = 0
    for (const _broker of image.liveBrokers()) brokers++
    const segmentBytes = config['offsets.topic.segment.bytes']
    return {
      ...plain,
      numPartitions: config['offsets.topic.num.partitions'],
      replicationFactor: Math.min(config['offsets.topic.replication.factor'], Math.max(1, brokers)),
      configs: [
        { name: 'cleanup.policy', value: 'compact' },
        { name: 'compression.type', value: 'producer' },
        { name: 'segment.bytes', value: String(segmentBytes) },
      ],
    }
  }
}

/** Somebody else was quicker: fine. A name or replication factor that cannot be is final; for all else clients retry. */
function outcomeFor(errorCode: ErrorCode): ErrorCode {
  switch (errorCode) {
    case ErrorCode.NONE:
    case ErrorCode.TOPIC_ALREADY_EXISTS:
      return ErrorCode.NONE
    case ErrorCode.INVALID_TOPIC_EXCEPTION:
    case ErrorCode.INVALID_REPLICATION_FACTOR:
      return errorCode
    default:
      return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }
}
