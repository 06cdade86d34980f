/**
 * What the brokers do when the controller is gone: each that lost it asks the others (Vote with preVote), and when most
 * of them lost it, too, its leadership is taken away in the store, so that they can run for it. All of this decides only
 * *when* there is a new controller; the store decides who.
 */
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io, Timer } from '../io/io.ts'
import { vote } from '../protocol/apis/52-vote.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { KnownController } from './controller-channel.ts'
import type { BrokerImage, MetadataImage } from './metadata-image.ts'
import type { MetadataStore } from './metadata-store.ts'
import { isRefusal, type Peers } from './peers.ts'

/** What another broker says of the controller; `gone`: its own port refuses, so it has no say. */
export type Ballot = 'granted' | 'denied' | 'gone' | 'silent'

/**
 * Whether the controller may be deposed. This broker counts as one that lost it.
 *
 * @param ballots of all other brokers but the controller
 * @param isRefused its port refuses here: a controller that is only silent needs a second witness
 */
export function mayDepose(ballots: readonly Ballot[], isRefused: boolean): boolean {
  const voters = 1 + ballots.filter((ballot) => ballot !== 'gone').length
  const granted = 1 + ballots.filter((ballot) => ballot === 'granted').length
  if (granted * 2 <= voters) return false
  return isRefused || granted > 1
}

export type SuccessionOptions = {
  readonly io: Io
  readonly brokerId: number
  readonly image: MetadataImage
  readonly store: Pick<MetadataStore, 'depose'>
  readonly peers: Pick<Peers, 'connection' | 'dial'>
  /** Who leads, as this broker knows. */
  readonly known: () => KnownController
  /** When the controller last answered, on the monotonic clock. */
  readonly heardMs: () => number
  readonly config: BrokerConfig
  readonly logger: Logger
}

const EVERY_MS = 250
/** A look that comes this much later than planned: this process hung, and knows nothing of the others' silence. */
const LATE_MS = 1_000
const DIAL_TIMEOUT_MS = 500
const VOTE_TIMEOUT_MS = 700
/** For so many session time-outs it is remembered that a controller was lost. */
const RECENT_SESSIONS = 3
/** The metadata log, as Kafka names it. */
const METADATA_TOPIC = '__cluster_metadata'

type Lost = 'refused' | 'silent'

export class Succession {
  readonly #options: SuccessionOptions
  /** The epoch of the controller whose port refused here. */
  #refusedEpoch = -1
  #lookedMs: number
  /** Silence before this moment is this process's own. */
  #awakeMs: number
  #timer: Timer | undefined
  /** The controller that this broker holds for lost together with others. */
  #lostController: (KnownController & { readonly atMs: number }) | undefined
  #round: Promise<void> | undefined
  #isDialling = false
  #closed = false

  constructor(options: SuccessionOptions) {
    this.#options = options
    this.#lookedMs = this.#nowMs()
    this.#awakeMs = this.#lookedMs
  }

  start(): void {
    if (this.#closed) return
    this.#timer = this.#options.io.timers.schedule(EVERY_MS, () => {
      this.#look()
      this.start()
    })
  }

  /**
   * The former controller, when this broker held it for lost a moment ago and others did, too: its successor need not
   * wait for its silence again.
   *
   * @param controllerEpoch of the successor
   */
  goneBefore(controllerEpoch: number): number | undefined {
    const lost = this.#lostController
    this.#lostController = undefined
    // Somebody may have led in between, and have had the lost one back: only the successor itself knows better.
    if (lost?.controllerEpoch !== controllerEpoch - 1) return undefined
    // It may have come back before its leadership was taken away.
    if (this.#options.heardMs() > lost.atMs) return undefined
    const recentMs = RECENT_SESSIONS * this.#options.config['broker.session.timeout.ms']
    return this.#nowMs() - lost.atMs <= recentMs ? lost.controllerId : undefined
  }

  /** The controller's port refused a connection: no need to wait for its silence. */
  noteRefused({ controllerEpoch }: KnownController): void {
    this.#refusedEpoch = controllerEpoch
    this.#campaign()
  }

  /** A connection to a broker broke. When that is the controller, whether it is still there is looked at now. */
  noteBroken(brokerId: number): void {
    const controller = this.#options.known()
    if (this.#closed || this.#isDialling || brokerId !== controller.controllerId) return
    this.#isDialling = true
    void this.#options.peers.dial(brokerId, DIAL_TIMEOUT_MS).then((outcome) => {
      this.#isDialling = false
      if (outcome === 'refused') this.noteRefused(controller)
    })
  }

  /** Whether this broker lost the controller of that epoch, too. One that noticed nothing looks at once. */
  async grants(controllerEpoch: number): Promise<boolean> {
    const { controllerId, controllerEpoch: knownEpoch } = this.#options.known()
    // Somebody else leads by now, or nobody: the one that asks will hear of it.
    if (knownEpoch !== controllerEpoch || controllerId === this.#options.brokerId) return false
    if (this.#lost() !== undefined) {
      this.#lostController = { controllerId, controllerEpoch, atMs: this.#nowMs() }
      return true
    }
    if ((await this.#options.peers.dial(controllerId, DIAL_TIMEOUT_MS)) !== 'refused') return false
    this.#refusedEpoch = controllerEpoch
    return true
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #look(): void {
    const nowMs = this.#nowMs()
    if (nowMs - this.#lookedMs > EVERY_MS + LATE_MS) this.#awakeMs = nowMs
    this.#lookedMs = nowMs
    if (this.#lost() !== undefined) this.#campaign()
  }

  #lost(): Lost | undefined {
    const { known, heardMs, config, brokerId } = this.#options
    const { controllerId, controllerEpoch } = known()
    if (controllerId < 0 || controllerId === brokerId) return undefined
    if (this.#refusedEpoch === controllerEpoch) return 'refused'
    const sinceMs = Math.max(heardMs(), this.#awakeMs)
    const isSilent = this.#nowMs() - sinceMs >= config['broker.session.timeout.ms']
    return isSilent ? 'silent' : undefined
  }

  #campaign(): void {
    if (this.#closed) return
    this.#round ??= this.#ask().finally(() => {
      this.#round = undefined
    })
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { known, store, logger, peers } = this.#options
    const { controllerId, controllerEpoch } = known()
    let why = this.#lost()
    if (why === undefined) return
    if (why === 'refused') {
      // A refusal of a moment ago may have been that of a restart.
      const outcome = await peers.dial(controllerId, DIAL_TIMEOUT_MS)
      if (outcome !== 'refused') {
        this.#refusedEpoch = -1
        why = this.#lost()
      }
    }
    if (why === undefined || this.#closed) return
    const ballots = await Promise.all(
      this.#voters(controllerId).map((voter) => this.#ballotOf(voter, controllerEpoch)),
    )
    if (this.#closed || known().controllerEpoch !== controllerEpoch) return
    if (!mayDepose(ballots, why === 'refused')) return
    this.#lostController = { controllerId, controllerEpoch, atMs: this.#nowMs() }
    logger.warn(
      { controllerId, controllerEpoch, why, ballots },
      'the controller is lost: deposing it',
    )
    try {
      await store.depose(controllerEpoch)
    } catch (error) {
      logger.warn({ error: String(error) }, 'the lost controller could not be deposed')
    }
  }

  /**
   * Also those that are fenced: a controller that hears nobody fences everybody, and somebody has to say so. Who is
   * fenced and does not answer has no say.
   */
  #voters(controllerId: number): BrokerImage[] {
    const { image, brokerId: own } = this.#options
    const { brokers } = image
    return [...brokers.values()].filter(
      ({ brokerId }) => brokerId !== controllerId && brokerId !== own,
    )
  }

  async #ballotOf({ brokerId, fenced }: BrokerImage, controllerEpoch: number): Promise<Ballot> {
    const { peers, image } = this.#options
    try {
      const connection = await peers.connection(brokerId, 'vote')
      const partition = {
        partitionIndex: 0,
        replicaEpoch: controllerEpoch,
        replicaId: this.#options.brokerId,
        replicaDirectoryId: ZERO_UUID,
        voterDirectoryId: ZERO_UUID,
        lastOffsetEpoch: controllerEpoch,
        lastOffset: image.index,
        preVote: true,
      }
      const answer = await connection.request(
        vote,
        {
          clusterId: image.clusterId,
          voterId: brokerId,
          topics: [{ topicName: METADATA_TOPIC, partitions: [partition] }],
        },
        { timeoutMs: VOTE_TIMEOUT_MS },
      )
      return answer.topics[0]?.partitions[0]?.voteGranted === true ? 'granted' : 'denied'
    } catch (error) {
      if (isRefusal(error)) return 'gone'
      if (error instanceof LmqError) return fenced ? 'gone' : 'silent'
      throw error
    }
  }

  #nowMs(): number {
    return this.#options.io.monotonic.nowMs()
  }
}
