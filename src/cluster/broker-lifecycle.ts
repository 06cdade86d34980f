/**
 * This broker's place in the cluster: registers with the controller, tells it by heartbeats that it lives and how far it
 * has read the metadata, asks to take part when it is caught up, and to leave in order at the end.
 */
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io, Timer } from '../io/io.ts'
import { brokerHeartbeat } from '../protocol/apis/63-broker-heartbeat.ts'
import { ErrorCode, errorName } from '../protocol/error-code.ts'
import type { BrokerRegistration } from './broker-commands.ts'
import type { ControllerChannel } from './controller-channel.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { MetadataTail } from './metadata-tail.ts'
import { clusterRegistration, securityProtocols } from './registration-api.ts'

export type BrokerLifecycleOptions = {
  readonly io: Io
  readonly channel: Pick<ControllerChannel, 'call'>
  readonly tail: Pick<MetadataTail, 'onDelta' | 'image'>
  readonly clusterId: string
  /** Without `unfenced`: the controller decides when this broker takes part. */
  readonly registration: Omit<BrokerRegistration, 'unfenced'>
  readonly config: BrokerConfig
  readonly logger: Logger
  /** Another process took this broker's place: this one must stop. */
  readonly onSuperseded: (error: LmqError) => void
}

const RETRY_MS = 100
/** Nothing is asked for longer than this at once: who the controller is may have changed. */
const CALL_MS = 2_000
/** So many session time-outs a broker waits for its own former self to be fenced. */
const SESSIONS = 10

type State = 'starting' | 'registered' | 'stopping' | 'stopped'

export class BrokerLifecycle {
  readonly #options: BrokerLifecycleOptions
  readonly #image: MetadataImage
  #state: State = 'starting'
  #brokerEpoch = -1
  #heardMs: number
  #timer: Timer | undefined
  #beating: Promise<void> | undefined
  #waiters: (() => void)[] = []
  /** The controller said that nobody needs this broker any more. */
  #mayStop = false

  constructor(options: BrokerLifecycleOptions) {
    this.#options = options
    this.#image = options.tail.image
    this.#heardMs = options.io.monotonic.nowMs()
    options.tail.onDelta((delta) => {
      if (delta.brokers.has(options.registration.brokerId)) this.#changed()
    })
  }

  /** Of this run; -1 before it is registered. */
  get brokerEpoch(): number {
    return this.#brokerEpoch
  }

  /** When the controller last answered, on the monotonic clock. */
  get heardMs(): number {
    return this.#heardMs
  }

  /** Whether the metadata that this broker has applied knows this run of it. */
  get isInImage(): boolean {
    const { brokerId, incarnationId } = this.#options.registration
    return this.#image.brokers.get(brokerId)?.incarnationId === incarnationId
  }

  get isFenced(): boolean {
    const known = this.#image.brokers.get(this.#options.registration.brokerId)
    return !this.isInImage || known?.fenced !== false
  }

  /**
   * Registers, and resolves when the registration is in this broker's image. Waits for a controller as long as it takes.
   *
   * @throws LMQ_BROKER_REFUSED when the cluster does not take this broker; LMQ_SHUTTING_DOWN
   */
  async register(): Promise<void> {
    // A former self of this broker with another disk counts as alive until its session is over.
    const patientMs = this.#nowMs() + SESSIONS * this.#options.config['broker.session.timeout.ms']
    for (;;) {
      try {
        await this.#registerOnce()
        break
      } catch (error) {
        if (!(error instanceof LmqError) || this.#isEnding) throw error
        if (isFinal(error, this.#nowMs() > patientMs)) throw error
        this.#options.logger.debug({ error: error.message }, 'not registered yet')
        await this.#pause(RETRY_MS)
      }
    }
    await this.#until(() => this.isInImage)
    if (this.#state === 'starting') this.#state = 'registered'
    this.#beatSoon(0)
  }

  /** Resolves when this broker takes part, as far as its own image says. */
  async takesPart(): Promise<void> {
    await this.#until(() => !this.isFenced)
  }

  /**
   * Sends a heartbeat now, beside the usual ones.
   *
   * @returns whether the controller counts this broker as fenced
   * @throws LmqError when it does not answer, or does not know this run of the broker
   */
  async ask(): Promise<boolean> {
    const answer = await this.#sendHeartbeat(CALL_MS)
    if (answer.errorCode === ErrorCode.NONE) return answer.isFenced
    const { brokerId } = this.#options.registration
    throw new LmqError('LMQ_BROKER_REFUSED', { brokerId, reason: errorName(answer.errorCode) })
  }

  /** Hands over what is led here, and resolves when the others have it or `deadlineMs` is over. */
  async leave(deadlineMs: number): Promise<void> {
    if (this.#state !== 'registered') return
    this.#state = 'stopping'
    const end = this.#options.io.timers.schedule(deadlineMs, () => this.#end())
    this.#timer?.cancel()
    await this.#beating
    this.#beatSoon(0)
    await this.#until(() => this.#mayStop)
    end.cancel()
  }

  close(): void {
    this.#end()
    this.#timer?.cancel()
  }

  #end(): void {
    this.#state = 'stopped'
    this.#changed()
  }

  get #isEnding(): boolean {
    return this.#state === 'stopping' || this.#state === 'stopped'
  }

  async #registerOnce(): Promise<void> {
    const { channel, clusterId, registration } = this.#options
    const answer = await channel.call(
      clusterRegistration,
      {
        ...registration,
        clusterId,
        listeners: registration.listeners.map((listener) => ({
          ...listener,
          securityProtocol: Math.max(
            0,
            securityProtocols.indexOf(listener.securityProtocol as 'PLAINTEXT'),
          ),
        })),
        features: [],
        isMigratingZkBroker: false,
        logDirs: registration.directoryIds,
        previousBrokerEpoch: registration.previousBrokerEpoch ?? -1,
        logsWhole: registration.logsWhole ?? false,
      },
      { deadlineMs: CALL_MS },
    )
    if (answer.errorCode !== ErrorCode.NONE) {
      const { brokerId } = registration
      const reason = errorName(answer.errorCode)
      throw new LmqError('LMQ_BROKER_REFUSED', { brokerId, reason })
    }
    this.#brokerEpoch = answer.brokerEpoch
    this.#heardMs = this.#nowMs()
  }

  #beatSoon(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#state === 'stopped') return
    this.#timer = this.#options.io.timers.schedule(delayMs, () => {
      this.#beating ??= this.#beat().finally(() => {
        this.#beating = undefined
      })
    })
  }

  /** Never rejects. */
  async #beat(): Promise<void> {
    const { io, config, logger } = this.#options
    const startedMs = io.monotonic.nowMs()
    const everyMs = config['broker.heartbeat.interval.ms']
    let nextMs = everyMs
    try {
      const answer = await this.#sendHeartbeat(Math.max(CALL_MS, everyMs))
      this.#heardMs = io.monotonic.nowMs()
      nextMs = await this.#heard(answer, everyMs)
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      if (error.code !== 'LMQ_SHUTTING_DOWN') {
        logger.debug({ error: error.message }, 'a heartbeat reached no controller')
      }
      nextMs = RETRY_MS
    }
    const jitterMs = io.random.int(Math.max(1, Math.floor(everyMs / 5)))
    const spentMs = io.monotonic.nowMs() - startedMs
    this.#beatSoon(Math.max(0, nextMs - spentMs - (nextMs === everyMs ? jitterMs : 0)))
  }

  #sendHeartbeat(deadlineMs: number) {
    const { channel, registration } = this.#options
    const heartbeat = {
      brokerId: registration.brokerId,
      brokerEpoch: this.#brokerEpoch,
      currentMetadataOffset: this.#image.index,
      wantFence: false,
      wantShutDown: this.#state === 'stopping',
      offlineLogDirs: [],
      cordonedLogDirs: null,
    }
    return channel.call(brokerHeartbeat, heartbeat, { deadlineMs })
  }

  /** @returns when to speak next, in milliseconds from the start of this heartbeat */
  async #heard(
    answer: { errorCode: number; isFenced: boolean; shouldShutDown: boolean },
    everyMs: number,
  ): Promise<number> {
    switch (answer.errorCode) {
      case ErrorCode.NONE:
        if (answer.shouldShutDown && this.#state === 'stopping') {
          this.#mayStop = true
          this.#end()
        }
        // Whoever waits to take part or to leave does not wait for the next round.
        return answer.isFenced || this.#state === 'stopping' ? Math.min(50, everyMs) : everyMs
      case ErrorCode.BROKER_ID_NOT_REGISTERED:
      case ErrorCode.STALE_BROKER_EPOCH:
        await this.#registerAgain()
        return RETRY_MS
      default:
        return everyMs
    }
  }

  /** Unregistered by somebody, or superseded by a newer process with the same folders. */
  async #registerAgain(): Promise<void> {
    const { brokerId } = this.#options.registration
    const known = this.#image.brokers.get(brokerId)
    if (known && known.brokerEpoch > this.#brokerEpoch && !this.isInImage) {
      this.#end()
      const reason = 'another process with the same id and data folder took its place'
      this.#options.onSuperseded(new LmqError('LMQ_BROKER_REFUSED', { brokerId, reason }))
      return
    }
    if (!known && this.#state === 'registered') await this.#registerOnce()
  }

  #changed(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#state === 'stopped') throw new LmqError('LMQ_SHUTTING_DOWN', {})
      await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.io.timers.schedule(ms, resolve))
  }

  #nowMs(): number {
    return this.#options.io.monotonic.nowMs()
  }
}

function isFinal({ code, facts }: LmqError, isLate: boolean): boolean {
  if (code === 'LMQ_SHUTTING_DOWN') return true
  if (code !== 'LMQ_BROKER_REFUSED') return false
  return isLate || facts['reason'] !== errorName(ErrorCode.DUPLICATE_BROKER_REGISTRATION)
}
