import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { Client, TopicMetadata } from './client.ts'
import { checkOutcome, OutcomeError } from './outcome-error.ts'

export type PartitionMetadata = TopicMetadata['partitions'][number]

/**
 * What is known of some topics' partitions and leaders. Refreshed when a broker says that it is wrong, from any broker:
 * whoever told it may go on telling it. It does not go back to an older leader epoch when that one is further behind.
 */
export class TopicView {
  readonly #client: Client
  readonly #create: boolean
  readonly #topics = new Map<string, TopicMetadata>()
  /** Of topics that were forgotten, too. */
  readonly #newest = new Map<string, TopicMetadata>()
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
    return (await this.partition(name, partitionIndex)).leaderId
  }

  /** A partition that has a leader. @throws {OutcomeError} LEADER_NOT_AVAILABLE, which passes */
  async partition(name: string, partitionIndex: number): Promise<PartitionMetadata> {
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
    return partition
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
    const known = this.#newest.get(name)
    const how = { create: this.#create, anew: known !== undefined }
    const answer = await this.#client.metadata([name], how)
    const topic = answer.topics.find((each) => each.name === name)
    checkOutcome(topic?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`)
    if (!topic) throw new OutcomeError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name}`)
    const newest = newestOf(topic, known)
    this.#topics.set(name, newest)
    this.#newest.set(name, newest)
    return newest
  }
}

/** What was told now, but for partitions of which a newer leader epoch is known. */
function newestOf(told: TopicMetadata, known: TopicMetadata | undefined): TopicMetadata {
  if (told.topicId === ZERO_UUID || told.topicId !== known?.topicId) return told
  const partitions = told.partitions.map((partition) => {
    const { partitionIndex, leaderEpoch } = partition
    const before = known.partitions.find((each) => each.partitionIndex === partitionIndex)
    return before && before.leaderEpoch > leaderEpoch ? before : partition
  })
  return { ...told, partitions }
}
