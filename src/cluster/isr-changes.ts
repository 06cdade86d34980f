import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io, Timer } from '../io/io.ts'
import type { alterPartition } from '../protocol/apis/56-alter-partition.ts'
import { ErrorCode, errorName } from '../protocol/error-code.ts'
import type { RequestInput, ResponseOf } from '../protocol/schema.ts'
import type { IsrOutcome, IsrProposal } from './leadership.ts'
import { LeaderRecoveryState } from './topic-image.ts'

export type AlterPartitionRequest = RequestInput<typeof alterPartition>
export type AlterPartitionResponse = ResponseOf<typeof alterPartition>

export type IsrChangesOptions = {
  readonly io: Pick<Io, 'timers' | 'random'>
  readonly brokerId: number
  /** Of this process; -1 while it is not registered. */
  brokerEpoch(): number
  /** To the active controller, wherever it is. Rejects when it is not known whether the request arrived. */
  alterPartition(request: AlterPartitionRequest): Promise<AlterPartitionResponse>
  readonly logger: Logger
}

/** Partitions of one request; the rest follow with the next. */
const MAX_BATCH = 2_000
const RETRY_MS = 50

/**
 * What the partitions of this broker want of the controller about their ISRs: gathered while a request is under way,
 * one request at a time, sent again until there is an answer. Like Kafka's AlterPartitionManager.
 */
export class IsrChanges {
  readonly #options: IsrChangesOptions
  readonly #waiting = new Map<string, IsrProposal>()
  #timer: Timer | undefined
  #isSending = false
  #isScheduled = false
  #closed = false
  /** Proposals that the controller did not take. */
  failures = 0

  constructor(options: IsrChangesOptions) {
    this.#options = options
  }

  /** A partition has one proposal at most; a newer one stands for a newer state. */
  readonly submit = (proposal: IsrProposal): void => {
    if (this.#closed) return
    this.#waiting.set(keyOf(proposal), proposal)
    this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#waiting.clear()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isSending || this.#timer || this.#waiting.size === 0) return
    this.#isScheduled = true
    // What one turn brings leaves together.
    this.#options.io.timers.endOfTurn(() => {
      this.#isScheduled = false
      void this.#send()
    })
  }

  async #send(): Promise<void> {
    const batch = this.#takeBatch()
    if (batch.length === 0 || this.#closed) return
    const brokerEpoch = this.#options.brokerEpoch()
    if (brokerEpoch < 0) return this.#later(batch)
    this.#isSending = true
    let answer: AlterPartitionResponse | undefined
    try {
      answer = await this.#options.alterPartition(this.#requestOf(batch, brokerEpoch))
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      this.#options.logger.debug({ error: error.message }, 'a change of ISRs was not answered')
    }
    this.#isSending = false
    if (this.#closed) return
    if (answer?.errorCode === ErrorCode.NONE) this.#settle(batch, answer)
    else this.#later(batch)
    this.#schedule()
  }

  #takeBatch(): IsrProposal[] {
    const batch: IsrProposal[] = []
    for (const [key, proposal] of this.#waiting) {
      if (batch.length === MAX_BATCH) break
      this.#waiting.delete(key)
      if (proposal.isCurrent()) batch.push(proposal)
    }
    return batch
  }

  /** The same again: whether it was done before is seen by its partition epoch. */
  #later(batch: readonly IsrProposal[]): void {
    for (const proposal of batch) {
      const key = keyOf(proposal)
      if (proposal.isCurrent() && !this.#waiting.has(key)) this.#waiting.set(key, proposal)
    }
    const { timers, random } = this.#options.io
    this.#timer = timers.schedule(RETRY_MS + random.int(RETRY_MS), () => {
      this.#timer = undefined
      this.#schedule()
    })
  }

  #requestOf(batch: readonly IsrProposal[], brokerEpoch: number): AlterPartitionRequest {
    const topics = new Map<string, IsrProposal[]>()
    for (const proposal of batch) {
      const list = topics.get(proposal.topicId)
      if (list) list.push(proposal)
      else topics.set(proposal.topicId, [proposal])
    }
    return {
      brokerId: this.#options.brokerId,
      brokerEpoch,
      topics: [...topics].map(([topicId, list]) => ({
        topicName: '',
        topicId,
        partitions: list.map(({ partitionIndex, leaderEpoch, partitionEpoch, isr }) => ({
          partitionIndex,
          leaderEpoch,
          newIsr: [],
          newIsrWithEpochs: isr,
          leaderRecoveryState: LeaderRecoveryState.RECOVERED,
          partitionEpoch,
        })),
      })),
    }
  }

  #settle(batch: readonly IsrProposal[], answer: AlterPartitionResponse): void {
    const open = new Map(batch.map((proposal) => [keyOf(proposal), proposal]))
    const again: IsrProposal[] = []
    for (const { topicId, partitions } of answer.topics) {
      for (const partition of partitions) {
        const key = keyOf({ topicId, partitionIndex: partition.partitionIndex })
        const proposal = open.get(key)
        if (!proposal) continue
        open.delete(key)
        const outcome = this.#outcomeOf(proposal, partition)
        if (outcome) proposal.settle(outcome)
        else again.push(proposal)
      }
    }
    // Those that the answer does not name.
    again.push(...open.values())
    if (again.length > 0) this.#later(again)
  }

  /** Undefined: ask again. */
  #outcomeOf(
    { partitionIndex, topicId }: IsrProposal,
    answer: AlterPartitionResponse['topics'][number]['partitions'][number],
  ): IsrOutcome | undefined {
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE) return { kind: 'committed' }
    this.failures++
    this.#options.logger.info(
      { topicId, partitionIndex, errorCode: errorName(errorCode) },
      'a change of an ISR was refused',
    )
    switch (errorCode) {
      case ErrorCode.OPERATION_NOT_ATTEMPTED:
      case ErrorCode.INELIGIBLE_REPLICA:
        return { kind: 'dropped' }
      case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      case ErrorCode.UNKNOWN_TOPIC_ID:
      case ErrorCode.FENCED_LEADER_EPOCH:
      case ErrorCode.INVALID_UPDATE_VERSION:
      case ErrorCode.INVALID_REQUEST:
      case ErrorCode.NEW_LEADER_ELECTED:
        return { kind: 'unknown' }
      default:
        return undefined
    }
  }
}

const keyOf = ({ topicId, partitionIndex }: Pick<IsrProposal, 'topicId' | 'partitionIndex'>) =>
  `${topicId}/${partitionIndex}`
