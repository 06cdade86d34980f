import { ErrorCode } from '../protocol/error-code.ts'
import type { Client, TopicMetadata } from './client.ts'
import { checkOutcome, OutcomeError } from './outcome-error.ts'

/** What is known of some topics' partitions and leaders. Refreshed when a broker says that it is wrong. */
export class TopicView {
  readonly #client: Client
  readonly #create: boolean
  readonly #topics = new Map<string, TopicMetadata>()
  readonly #asking = new Map<string, Promise<TopicMetadata>>()

  /** @param create whether asking for a topic that is not there may create it, if the cluster allows that */
  constructor(client: Client, { create = false }: { create?: boolean } = {}) {
    this.#client = client
    this.#create = create
  }

  /** @throws {OutcomeError} when the topic does not exist, or does not become ready in time */
  async topic(name: string): Promise<TopicMetadata> {
    return this.#topics.get(name) ?? this.refresh(name)
  }

  async partitionCount(name: string): Promise<number> {
    return (await this.topic(name)).partitions.length
  }

  /** What is known now, without asking. */
  known(name: string): TopicMetadata | undefined {
    return this.#topics.get(name)
  }

  /** @throws {OutcomeError} LEADER_NOT_AVAILABLE, which passes */
  async leaderOf(name: string, partitionIndex: number): Promise<number> {
    const topic = await this.topic(name)
    const partition = topic.partitions.find((each) => each.partitionIndex === partitionIndex)
    if (!partition) {
      throw new OutcomeError(
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        `partition ${name}-${partitionIndex}`,
      )
    }
    if (partition.leaderId < 0) {
      this.forget(name)
      throw new OutcomeError(ErrorCode.LEADER_NOT_AVAILABLE, `partition ${name}-${partitionIndex}`)
    }
    return partition.leaderId
  }

  forget(name: string): void {
    this.#topics.delete(name)
  }

  /** Asks anew; callers at the same time share one question. */
  refresh(name: string): Promise<TopicMetadata> {
    const asking = this.#asking.get(name)
    if (asking) return asking
    const asked = this.#ask(name).finally(() => this.#asking.delete(name))
    this.#asking.set(name, asked)
    return asked
  }

  async #ask(name: string): Promise<TopicMetadata> {
    const answer = await this.#client.metadata([name], { create: this.#create })
    const topic = answer.topics.find((each) => each.name === name)
    checkOutcome(topic?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`)
    if (!topic) throw new OutcomeError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`)
    this.#topics.set(name, topic)
    return topic
  }
}
