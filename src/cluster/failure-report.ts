/**
 * Tells the controller which replicas of this broker cannot be served, because the disks under them failed, until the
 * metadata shows that it was heard: then others lead them.
 */
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io, Timer } from '../io/io.ts'
import { assignReplicasToDirs } from '../protocol/apis/73-assign-replicas-to-dirs.ts'
import { ErrorCode, errorName } from '../protocol/error-code.ts'
import { LOST_DIRECTORY } from '../protocol/uuid.ts'
import type { ControllerChannel } from './controller-channel.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { Partitions } from './partitions.ts'

export type FailureReportOptions = {
  readonly io: Pick<Io, 'timers'>
  readonly brokerId: number
  /** Of this run; -1 before it is registered. */
  readonly brokerEpoch: () => number
  readonly image: MetadataImage
  readonly partitions: Pick<Partitions, 'failed' | 'dropFailed'>
  readonly channel: Pick<ControllerChannel, 'call'>
  readonly logger: Logger
}

const CALL_MS = 5_000
const RETRY_MS = 200
/** Replicas named in one request. */
const MOST_REPLICAS = 5_000

export class FailureReport {
  readonly #options: FailureReportOptions
  #timer: Timer | undefined
  #telling: Promise<void> | undefined
  #again = false
  #closed = false

  constructor(options: FailureReportOptions) {
    this.#options = options
  }

  /** A disk failed, or this broker has just come: whatever cannot be served is told. */
  note(): void {
    if (this.#closed) return
    this.#options.partitions.dropFailed()
    this.#again = true
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /** Never rejects. */
  async #tellAll(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false
      const topics = this.#untold()
      if (topics.length === 0) continue
      try {
        await this.#tell(topics)
        // Until the metadata here has it; and what was one too many for a request.
        this.#later()
      } catch (error) {
        if (!(error instanceof LmqError)) throw error
        this.#options.logger.debug({ error: error.message }, 'a failed disk is not told yet')
        this.#later()
      }
    }
  }

  #later(): void {
    if (this.#closed) return
    this.#timer?.cancel()
    this.#timer = this.#options.io.timers.schedule(RETRY_MS, () => this.note())
  }

  /** What the controller does not know yet, by topic id. */
  #untold(): [topicId: string, partitions: number[]][] {
    const { brokerId, image, partitions } = this.#options
    const found = new Map<string, number[]>()
    let count = 0
    for (const { topicId, partitionIndex } of partitions.failed()) {
      if (image.failedReplicas.has(brokerId, topicId, partitionIndex)) continue
      const list = found.get(topicId)
      if (list) list.push(partitionIndex)
      else found.set(topicId, [partitionIndex])
      if (++count === MOST_REPLICAS) break
    }
    return [...found]
  }

  async #tell(topics: readonly [topicId: string, partitions: number[]][]): Promise<void> {
    const { brokerId, brokerEpoch, channel } = this.#options
    const lost = {
      id: LOST_DIRECTORY,
      topics: topics.map(([topicId, partitions]) => ({
        topicId,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
      })),
    }
    const request = { brokerId, brokerEpoch: brokerEpoch(), directories: [lost] }
    const { errorCode } = await channel.call(assignReplicasToDirs, request, {
      deadlineMs: CALL_MS,
    })
    if (errorCode === ErrorCode.NONE) return
    throw new LmqError('LMQ_BROKER_REFUSED', { brokerId, reason: errorName(errorCode) })
  }
}
