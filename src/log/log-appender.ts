import { Codec } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import {
  assignOffset,
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  codecOf,
  lastOffsetDeltaOf,
  leaderEpochOf,
  maxTimestampOf,
  NO_PRODUCER_ID,
  producerIdOf,
} from '../protocol/record-batch.ts'
import {
  checkFrame,
  checkHeader,
  checkOutline,
  checkRecords,
  type Refusal,
  refusal,
} from './batch-check.ts'
import { openingBytesOf, recode } from './batch-recode.ts'
import type { LogCore } from './log-core.ts'
import {
  type AppendOptions,
  type AppendResult,
  appended,
  type ReplicateOptions,
  type ReplicateResult,
  refused,
} from './log-outcomes.ts'
import { replicatedBatches } from './replicated-batches.ts'
import type { Segment } from './segment.ts'
import { WriteQueue } from './write-queue.ts'

/** message.timestamp.before.max.ms of a topic that takes records of any age. */
const NO_BOUND_MS = Number.MAX_SAFE_INTEGER

/** Takes batches into one log, in the order of the calls, and brings them to its files. */
export class LogAppender {
  readonly #core: LogCore
  readonly #queue: WriteQueue
  /** Appends that must wait: batches are being opened, or the log is being truncated. */
  #gate: Promise<unknown> | undefined
  #saidMissing = false

  constructor(core: LogCore) {
    this.#core = core
    this.#queue = new WriteQueue(
      core.shared.io.monotonic,
      () => core.isFlushing,
      (endOffset) => core.noteWritten(endOffset),
      (error) => core.home.fail(error, 'write'),
    )
  }

  /** Settles when appends need not wait any more. */
  get gate(): Promise<unknown> | undefined {
    return this.#gate
  }

  append(records: Buffer, options: AppendOptions): AppendResult | Promise<AppendResult> {
    if (!this.#gate) {
      const { shared, hasFolder } = this.#core
      if (hasFolder || !shared.creations.isSpent || options.origin !== 'client') {
        return this.#hold(this.#appendNow(records, options))
      }
      return this.#hold(shared.creations.wait().then(() => this.#appendNow(records, options)))
    }
    return this.#hold(this.#gate.then(() => this.#appendNow(records, options)))
  }

  /** Later appends wait for an outcome that is not there yet. */
  #hold(outcome: AppendResult | Promise<AppendResult>): AppendResult | Promise<AppendResult> {
    if (!(outcome instanceof Promise)) return outcome
    this.holdAppends(outcome)
    return outcome
  }

  /** Appends from now on wait until `work` has settled. */
  holdAppends(work: Promise<unknown>): void {
    const open = () => {
      if (this.#gate === gate) this.#gate = undefined
    }
    const gate: Promise<unknown> = work.then(open, open)
    this.#gate = gate
  }

  #appendNow(records: Buffer, options: AppendOptions): AppendResult | Promise<AppendResult> {
    this.#core.open()
    if (this.#core.state !== 'open') return refused(refusal(ErrorCode.KAFKA_STORAGE_ERROR))
    if (options.origin === 'coordinator') return this.#commit(records, options)
    const { crc32c } = this.#core.shared
    const { config } = this.#core
    const refusedFor =
      checkFrame(records, options.produceVersion) ??
      checkHeader(records, options.produceVersion, config.maxMessageBytes, crc32c)
    if (refusedFor) return refused(refusedFor)
    const codec = codecOf(attributesOf(records, 0))
    const mustRecode = config.codec !== undefined && config.codec !== codec
    if (mustRecode || (codec !== Codec.none && this.#isLookedInto())) {
      return this.#appendOpened(records, options)
    }
    const block =
      codec === Codec.none
        ? { buffer: records, start: BATCH_HEADER_BYTES, end: records.length }
        : undefined
    const bad =
      (block ? undefined : checkOutline(records)) ??
      checkRecords(records, block, config, options.nowMs, crc32c)
    return bad ? refused(bad) : this.#commit(records, options)
  }

  /** The header of a compressed batch tells its newest time, neither its oldest one nor its keys. */
  #isLookedInto(): boolean {
    const { config, shared } = this.#core
    return (
      config.isCompacted ||
      config.timestampBeforeMaxMs < NO_BOUND_MS ||
      shared.settings['lmq.produce.validation'] === 'records'
    )
  }

  async #appendOpened(records: Buffer, options: AppendOptions): Promise<AppendResult> {
    const { config, shared } = this.#core
    const recoded = await shared.openings.run(openingBytesOf(records), () =>
      recode(records, config, options.nowMs, shared.io),
    )
    if (!Buffer.isBuffer(recoded)) {
      this.#sayMissing(recoded)
      return refused(recoded)
    }
    if (this.#core.state !== 'open') return refused(refusal(ErrorCode.KAFKA_STORAGE_ERROR))
    return this.#commit(recoded, options)
  }

  /** Once for each log: only an operator can help here. */
  #sayMissing({ errorCode, errorMessage }: Refusal): void {
    if (errorCode !== ErrorCode.UNSUPPORTED_COMPRESSION_TYPE || this.#saidMissing) return
    this.#saidMissing = true
    const { home, name } = this.#core
    home.logger.warn(
      { log: name, errorMessage },
      'compressed batches are refused: install the package',
    )
  }

  /** As `append`, for batches that the leader has given their offsets. */
  replicate(
    records: Buffer,
    options: ReplicateOptions,
  ): ReplicateResult | Promise<ReplicateResult> {
    if (!this.#gate) return this.#replicateNow(records, options)
    const outcome = this.#gate.then(() => this.#replicateNow(records, options))
    this.holdAppends(outcome)
    return outcome
  }

  #replicateNow(records: Buffer, options: ReplicateOptions): ReplicateResult {
    const core = this.#core
    core.open()
    let sizeBytes = 0
    const result = (errorCode: ErrorCode, reason: string | null) => ({
      errorCode,
      reason,
      sizeBytes,
      end: core.logEndOffset,
    })
    if (core.state !== 'open') return result(ErrorCode.KAFKA_STORAGE_ERROR, null)
    if (core.logEndOffset !== options.fromOffset) {
      return result(ErrorCode.OFFSET_OUT_OF_RANGE, 'the log was cut meanwhile')
    }
    const sound = replicatedBatches(records, {
      logEndOffset: core.logEndOffset,
      isEmpty: core.segments.active === undefined,
      leaderEpoch: options.leaderEpoch,
      latestEpoch: core.epochs.latestEpoch,
      crc32c: core.shared.crc32c,
    })
    try {
      for (const batch of sound.batches) {
        this.#takeReplica(batch, options.nowMs)
        sizeBytes += batch.length
      }
    } catch (error) {
      core.home.fail(error, 'append')
      return result(ErrorCode.KAFKA_STORAGE_ERROR, null)
    }
    const { damage } = sound
    return result(damage ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.NONE, damage ?? null)
  }

  #takeReplica(batch: Buffer, nowMs: number): void {
    const core = this.#core
    const baseOffset = baseOffsetOf(batch, 0)
    // Without records a log's end is only where it was told to begin: the batch there may begin before it.
    if (!core.segments.active) core.logEndOffset = baseOffset
    if (baseOffset > core.logEndOffset && core.cleanedOffset < 0) {
      // The leader's log was compacted: recovery must not take the gap for damage.
      core.cleanedOffset = 0
      core.home.checkpointSoon()
    }
    const lastOffset = baseOffset + lastOffsetDeltaOf(batch, 0)
    this.#place(batch, lastOffset, maxTimestampOf(batch, 0), nowMs)
    core.epochs.note(leaderEpochOf(batch, 0), baseOffset)
    if (producerIdOf(batch, 0) !== NO_PRODUCER_ID) this.#noteProducer(batch, 0)
    if (core.keepsTail) core.tail.add(batch)
  }

  /** The batch is good: from here on everything happens in this turn. */
  #commit(batch: Buffer, options: AppendOptions): AppendResult {
    const { appendEpoch = options.leaderEpoch } = this.#core
    if (appendEpoch !== options.leaderEpoch) {
      return refused(refusal(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    }
    const hasProducer = producerIdOf(batch, 0) !== NO_PRODUCER_ID
    if (hasProducer && options.origin === 'client') {
      const earlier = this.#core.producers.findDuplicate(batch, 0)
      if (earlier) {
        const { lastOffset, offsetDelta, timestamp } = earlier
        return appended(lastOffset - offsetDelta, lastOffset, timestamp, true)
      }
      const errorCode = this.#core.producers.check(batch, 0)
      if (errorCode !== ErrorCode.NONE) return refused(refusal(errorCode))
    }
    const baseOffset = this.#core.logEndOffset
    const lastOffset = baseOffset + lastOffsetDeltaOf(batch, 0)
    assignOffset(batch, 0, baseOffset, options.leaderEpoch)
    try {
      this.#place(batch, lastOffset, maxTimestampOf(batch, 0), options.nowMs)
    } catch (error) {
      this.#core.home.fail(error, 'append')
      return refused(refusal(ErrorCode.KAFKA_STORAGE_ERROR))
    }
    this.#core.epochs.note(options.leaderEpoch, baseOffset)
    if (hasProducer) this.#noteProducer(batch, 0)
    if (this.#core.keepsTail) this.#core.tail.add(batch)
    return appended(
      baseOffset,
      lastOffset,
      this.#core.config.usesLogAppendTime ? options.nowMs : -1,
      false,
    )
  }

  #noteProducer(b: Buffer, at: number): void {
    const aborted = this.#core.producers.note(b, at)
    if (aborted) this.#core.segments.active?.transactionIndex.append(aborted)
  }

  /** Puts a batch at the end of the active segment, or of a new one. @throws Node's own disk errors */
  #place(batch: Buffer, lastOffset: number, maxTimestamp: number, nowMs: number): void {
    const active = this.#core.segments.active
    const segment =
      !active || this.#mustRoll(active, batch.length, lastOffset, maxTimestamp, nowMs)
        ? this.#core.roll(nowMs)
        : active
    const { indexIntervalBytes } = this.#core.config
    const position = segment.append(batch.length, lastOffset, maxTimestamp, indexIntervalBytes)
    this.#core.logEndOffset = lastOffset + 1
    if (this.#queue.add(segment, position, batch, this.#core.logEndOffset)) {
      this.#core.home.drainAtEndOfTurn(this.#core.log)
    }
  }

  #mustRoll(
    active: Segment,
    sizeBytes: number,
    lastOffset: number,
    maxTimestamp: number,
    nowMs: number,
  ): boolean {
    const { segmentBytes, segmentMs, segmentIndexBytes, segmentJitterMs } = this.#core.config
    if (this.#core.segmentJitterMs < 0) {
      const bound = Math.min(segmentJitterMs, segmentMs, 2 ** 31)
      this.#core.segmentJitterMs = bound > 0 ? this.#core.shared.io.random.int(bound) : 0
    }
    const limits = {
      segmentBytes,
      segmentMs: segmentMs - this.#core.segmentJitterMs,
      segmentIndexBytes,
    }
    return active.mustRoll({ sizeBytes, lastOffset, maxTimestamp }, limits, nowMs)
  }

  /** Writes what this turn has gathered. */
  drain(): void {
    this.#queue.drain()
  }

  stop(): void {
    this.#queue.stop()
  }
}
