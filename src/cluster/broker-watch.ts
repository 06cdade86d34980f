/**
 * The controller's eye on the brokers: takes their heartbeats, lets those take part that are caught up, and fences those
 * that fall silent or whose process is gone. Does nothing while this broker is not the controller.
 */
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io, Timer } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { BrokerRegistration, BrokerRun, RegistrationAnswer } from './broker-commands.ts'
import { fencedInSync, leadsAnything } from './broker-commands.ts'
import type { Controller } from './controller.ts'
import { Liveness } from './liveness.ts'
import type { BrokerImage, MetadataImage } from './metadata-image.ts'
import type { Peers } from './peers.ts'

export type Heartbeat = {
  readonly brokerId: number
  readonly brokerEpoch: number
  /** Index of the last metadata entry that the broker has applied. */
  readonly appliedIndex: number
  readonly wantFence: boolean
  readonly wantShutDown: boolean
}

export type HeartbeatAnswer = {
  readonly errorCode: ErrorCode
  readonly isCaughtUp: boolean
  readonly isFenced: boolean
  readonly shouldShutDown: boolean
}

/** What carries heartbeats: its end is news. */
export type HeartbeatLine = { onEnd(listener: () => void): void }

export type BrokerWatchOptions = {
  readonly io: Io
  readonly brokerId: number
  /** Of this process: an earlier one of this broker, perhaps with another disk, is watched like any other broker. */
  readonly incarnationId: string
  /** Of this broker: on the controller it holds all that is committed. */
  readonly image: MetadataImage
  readonly controller: Pick<
    Controller,
    'isActive' | 'controllerEpoch' | 'registerBroker' | 'changeBroker' | 'fenceBrokers'
  >
  readonly peers: Pick<Peers, 'dial'>
  /** The former controller, where the brokers have just found out together that it is gone. */
  readonly goneBefore?: (controllerEpoch: number) => number | undefined
  /** A broker's heartbeats came over a connection that is closed now. */
  readonly onEnded?: (brokerId: number) => void
  readonly config: BrokerConfig
  readonly logger: Logger
}

/** Looks per session time-out. */
const LOOKS = 20
/** A look that comes this much later than planned says that this process hung. */
const LATE_MS = 1_000
const DIAL_TIMEOUT_MS = 500
/** For who was lost as the controller a moment ago: somebody in good health answers sooner. */
const SHORT_DIAL_MS = 100
/** A broker that stops waits no longer than this until the others know their new leaders. */
const HANDOVER_MS = 1_000

const refused = (errorCode: ErrorCode): HeartbeatAnswer => ({
  errorCode,
  isCaughtUp: false,
  isFenced: true,
  shouldShutDown: false,
})

export class BrokerWatch {
  readonly #options: BrokerWatchOptions
  readonly #liveness = new Liveness()
  /** Of which leadership `#liveness` and the indexes are. */
  #epoch = -1
  /** By broker epoch: the metadata index from which on registration, or a later fencing, is in the image. */
  #registeredAt = new Map<number, number>()
  #takeoverIndex = -1
  readonly #lines = new Map<number, HeartbeatLine>()
  /** By broker: when it asked to stop, and what the others must have applied before it may. */
  readonly #stopping = new Map<number, { readonly sinceMs: number; readonly index: number }>()
  readonly #dialling = new Set<number>()
  /** Epochs of brokers whose fencing waits to be written. */
  readonly #fencing = new Set<number>()
  /** The fenced brokers in some ISR, as of one index of the metadata. */
  #inSync: { readonly index: number; readonly brokerIds: ReadonlySet<number> } = {
    index: -1,
    brokerIds: new Set(),
  }
  #timer: Timer | undefined
  #closed = false

  constructor(options: BrokerWatchOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#closed) return
    this.#timer = this.#options.io.timers.schedule(this.#everyMs(), () => {
      this.#look()
      this.start()
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /** This broker has become the controller: who is gone is found out now, not at the next look. */
  begin(): void {
    if (!this.#closed) this.#follow()
  }

  /** How far a broker has read the metadata, by its own word; -1: it said nothing here. */
  appliedIndexOf(brokerId: number): number {
    return this.#liveness.appliedIndex(brokerId)
  }

  /** @throws LMQ_NOT_CONTROLLER */
  async register(registration: BrokerRegistration): Promise<RegistrationAnswer> {
    this.#follow()
    const answer = await this.#options.controller.registerBroker(registration)
    if (answer.errorCode === ErrorCode.NONE) {
      const { brokerId } = registration
      this.#registeredAt.set(answer.brokerEpoch, this.#options.image.index)
      this.#liveness.heard(brokerId, answer.brokerEpoch, -1, this.#nowMs())
      this.#stopping.delete(brokerId)
    }
    return answer
  }

  /** @throws LMQ_NOT_CONTROLLER */
  async heartbeat(heartbeat: Heartbeat, line: HeartbeatLine): Promise<HeartbeatAnswer> {
    const { image, controller } = this.#options
    if (!controller.isActive) return refused(ErrorCode.NOT_CONTROLLER)
    this.#follow()
    const { brokerId, brokerEpoch, appliedIndex } = heartbeat
    const known = image.brokers.get(brokerId)
    if (!known) return refused(ErrorCode.BROKER_ID_NOT_REGISTERED)
    if (known.brokerEpoch !== brokerEpoch) return refused(ErrorCode.STALE_BROKER_EPOCH)
    this.#liveness.heard(brokerId, brokerEpoch, appliedIndex, this.#nowMs())
    this.#listen(brokerId, brokerEpoch, line)
    const isCaughtUp = appliedIndex >= (this.#registeredAt.get(brokerEpoch) ?? this.#takeoverIndex)
    const shouldShutDown = await this.#decide(heartbeat, known, isCaughtUp)
    const isFenced = image.brokers.get(brokerId)?.fenced ?? true
    return { errorCode: ErrorCode.NONE, isCaughtUp, isFenced, shouldShutDown }
  }

  /** @returns whether the broker may stop now */
  async #decide(heartbeat: Heartbeat, known: BrokerImage, isCaughtUp: boolean): Promise<boolean> {
    const { brokerId, brokerEpoch, wantFence, wantShutDown } = heartbeat
    const change = (fenced: boolean, inControlledShutdown: boolean) =>
      this.#options.controller.changeBroker({ brokerId, brokerEpoch, fenced, inControlledShutdown })
    if (wantShutDown) {
      if (known.fenced) {
        // One that came back with everything is in ISRs already: nobody is to wait for it there.
        if (this.#isWaitedFor(known)) await change(true, known.inControlledShutdown)
        return true
      }
      if (!known.inControlledShutdown) await change(false, true)
      if (!this.#mayStop(brokerId)) return false
      await change(true, true)
      return true
    }
    if (wantFence) {
      if (!known.fenced) await change(true, known.inControlledShutdown)
    } else if (known.fenced && isCaughtUp) await change(false, false)
    return false
  }

  /** When it leads nothing any more and the others know that. */
  #mayStop(brokerId: number): boolean {
    const { image } = this.#options
    if (leadsAnything(image, brokerId)) return false
    const nowMs = this.#nowMs()
    const stopping = this.#stopping.get(brokerId) ?? { sinceMs: nowMs, index: image.index }
    this.#stopping.set(brokerId, stopping)
    if (nowMs - stopping.sinceMs >= HANDOVER_MS) return true
    for (const other of image.liveBrokers()) {
      if (other.brokerId === brokerId || other.brokerId === this.#options.brokerId) continue
      if (this.#liveness.appliedIndex(other.brokerId) < stopping.index) return false
    }
    return true
  }

  /** Begins anew with each leadership: what the former controller heard is not known here. */
  #follow(): void {
    const { controller, image, brokerId } = this.#options
    if (this.#epoch === controller.controllerEpoch) return
    this.#epoch = controller.controllerEpoch
    this.#registeredAt = new Map()
    this.#lines.clear()
    this.#stopping.clear()
    if (!controller.isActive) return
    this.#takeoverIndex = image.index
    this.#liveness.reset(image.liveBrokers(), this.#nowMs())
    // Also whoever led before may be gone: a refused connection says so at once.
    const gone = this.#options.goneBefore?.(this.#epoch)
    for (const broker of [...image.liveBrokers()]) {
      if (broker.brokerId === brokerId) continue
      if (broker.brokerId !== gone) void this.#dial(broker.brokerId, broker.brokerEpoch)
      else void this.#dial(broker.brokerId, broker.brokerEpoch, 'it was lost as the controller')
    }
  }

  #look(): void {
    const { controller, image, config } = this.#options
    this.#follow()
    if (!controller.isActive) return
    const others = [...image.brokers.values()].filter(
      (broker) => !this.#isSelf(broker) && this.#isWaitedFor(broker),
    )
    const sessionMs = config['broker.session.timeout.ms']
    const lateMs = this.#everyMs() + LATE_MS
    const silent = this.#liveness.silent(others, sessionMs, lateMs, this.#nowMs())
    void this.#fence(
      others.filter(({ brokerId }) => silent.includes(brokerId)),
      'it is silent',
    )
  }

  #listen(brokerId: number, brokerEpoch: number, line: HeartbeatLine): void {
    if (this.#lines.get(brokerId) === line) return
    this.#lines.set(brokerId, line)
    line.onEnd(() => {
      if (this.#lines.get(brokerId) !== line) return
      this.#lines.delete(brokerId)
      void this.#dial(brokerId, brokerEpoch)
      if (!this.#closed) this.#options.onEnded?.(brokerId)
    })
  }

  /**
   * Fences a broker whose port refuses: its process is gone. Anything else is left to the session.
   *
   * @param whyGone it was silent for a session already: now only an answer counts
   */
  async #dial(brokerId: number, brokerEpoch: number, whyGone?: string): Promise<void> {
    const { peers, image } = this.#options
    if (this.#closed || !this.#options.controller.isActive || this.#dialling.has(brokerId)) return
    const known = image.brokers.get(brokerId)
    if (!known || known.brokerEpoch !== brokerEpoch || !this.#isWaitedFor(known)) return
    this.#dialling.add(brokerId)
    const timeoutMs = whyGone === undefined ? DIAL_TIMEOUT_MS : SHORT_DIAL_MS
    const outcome = await peers.dial(brokerId, timeoutMs)
    this.#dialling.delete(brokerId)
    const run = { brokerId, brokerEpoch }
    if (outcome === 'refused') await this.#fence([run], 'its port refuses')
    else if (outcome === 'silent' && whyGone) await this.#fence([run], whyGone)
  }

  async #fence(found: readonly BrokerRun[], why: string): Promise<void> {
    const { controller, image, logger } = this.#options
    if (this.#closed || !controller.isActive) return
    const gone = found.filter((run) => this.#mayFence(run))
    if (gone.length === 0) return
    const heard = ({ brokerId, brokerEpoch }: BrokerRun) =>
      this.#liveness.heardMs(brokerId, brokerEpoch)
    const heardMs = gone.map(heard)
    for (const { brokerId, brokerEpoch } of gone) {
      logger.warn({ brokerId, brokerEpoch, why }, 'a broker is gone: others take over what it led')
      this.#fencing.add(brokerEpoch)
    }
    try {
      await controller.fenceBrokers(gone, () => gone.every((run, at) => heard(run) === heardMs[at]))
      // One that hung must learn what others took over before it takes part again.
      for (const { brokerEpoch } of gone) this.#registeredAt.set(brokerEpoch, image.index)
    } catch (error) {
      const brokerIds = gone.map(({ brokerId }) => brokerId)
      logger.warn({ brokerIds, error: String(error) }, 'brokers could not be fenced')
    } finally {
      for (const { brokerEpoch } of gone) this.#fencing.delete(brokerEpoch)
    }
  }

  #mayFence({ brokerId, brokerEpoch }: BrokerRun): boolean {
    const known = this.#options.image.brokers.get(brokerId)
    if (known?.brokerEpoch !== brokerEpoch || this.#fencing.has(brokerEpoch)) return false
    return this.#isWaitedFor(known)
  }

  #isSelf(broker: BrokerImage): boolean {
    const { brokerId, incarnationId } = this.#options
    return broker.brokerId === brokerId && broker.incarnationId === incarnationId
  }

  /** Others wait for it while it is gone: it takes part, or is in an ISR although it does not yet. */
  #isWaitedFor({ brokerId, fenced }: BrokerImage): boolean {
    if (!fenced) return true
    const { index } = this.#options.image
    if (this.#inSync.index !== index) {
      this.#inSync = { index, brokerIds: fencedInSync(this.#options.image) }
    }
    return this.#inSync.brokerIds.has(brokerId)
  }

  #everyMs(): number {
    return Math.max(10, Math.ceil(this.#options.config['broker.session.timeout.ms'] / LOOKS))
  }

  #nowMs(): number {
    return this.#options.io.monotonic.nowMs()
  }
}
