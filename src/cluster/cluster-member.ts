import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerSettings } from '../config/broker-settings.ts'
import type { Io } from '../io/io.ts'
import type { LogDirs } from '../log/log-dirs.ts'
import { ErrorCode, errorName } from '../protocol/error-code.ts'
import { AutoTopicCreation } from './auto-topic-creation.ts'
import type { BrokerRegistration } from './broker-commands.ts'
import { configRulesOf } from './config-rules.ts'
import { Controller } from './controller.ts'
import { initialFeatures } from './features.ts'
import type { MetadataDelta } from './metadata-delta.ts'
import { configKey, type MetadataImage, ResourceType } from './metadata-image.ts'
import type { Membership, MetadataStore } from './metadata-store.ts'
import { type DeltaListener, MetadataTail } from './metadata-tail.ts'
import { Partitions } from './partitions.ts'

export type ClusterMemberOptions = {
  readonly io: Io
  /** Closed by whoever opened it, after this member. */
  readonly store: MetadataStore
  readonly brokerId: number
  /** What a new cluster is called, and what an existing one must be called. */
  readonly clusterId: string
  readonly logDirs: LogDirs
  readonly settings: BrokerSettings
  readonly logger: Logger
  /** The metadata log cannot be read any more: stop the broker. */
  readonly onFailure: (error: unknown) => void
}

export type Registration = Pick<BrokerRegistration, 'rack' | 'hostId' | 'bootId' | 'listeners'> & {
  /** How other brokers reach this one, host:port. */
  readonly address: string
}

/**
 * One broker's part in a cluster: follows the metadata log, runs for the controller, and holds its partitions. `open`
 * reads the metadata, `join` makes the broker known under its listeners; clients may come after that.
 */
export class ClusterMember {
  readonly image: MetadataImage
  readonly controller: Controller
  readonly partitions: Partitions
  readonly autoTopicCreation: AutoTopicCreation
  /** -1 before `join`. */
  brokerEpoch = -1
  readonly #options: ClusterMemberOptions
  readonly #tail: MetadataTail
  readonly #incarnationId: string
  #membership: Membership | undefined

  private constructor(options: ClusterMemberOptions, tail: MetadataTail) {
    const { io, store, brokerId, settings, logDirs, logger } = options
    const { config } = settings
    this.#options = options
    this.#tail = tail
    this.#incarnationId = io.random.uuid()
    this.image = tail.image
    this.controller = new Controller({
      io,
      store,
      tail,
      candidate: { brokerId, incarnationId: this.#incarnationId },
      rules: configRulesOf(config),
      logger,
    })
    const { image, controller } = this
    this.partitions = new Partitions({ io, brokerId, image, logDirs, config, logger })
    this.autoTopicCreation = new AutoTopicCreation({ controller, image, config, logger })
  }

  /** @throws LMQ_LOG_DIR_FOREIGN when the log is another cluster's; what the store throws */
  static async open(options: ClusterMemberOptions): Promise<ClusterMember> {
    const { store, logger, clusterId, onFailure } = options
    const tail = new MetadataTail(store, logger, onFailure)
    await tail.start()
    const found = tail.image.clusterId
    if (found !== '' && found !== clusterId) {
      await tail.close()
      throw new LmqError('LMQ_LOG_DIR_FOREIGN', { metadataOf: found, expected: clusterId })
    }
    const member = new ClusterMember(options, tail)
    await member.controller.start()
    return member
  }

  /**
   * Registers this broker and takes up its partitions, under new leader epochs.
   *
   * @throws LMQ_LOG_DIR_TAKEN when another live broker has this id
   */
  async join(registration: Registration): Promise<void> {
    const { store, brokerId, clusterId, logDirs } = this.#options
    const { address, ...known } = registration
    const [, answer] = await Promise.all([
      this.controller.bootstrap(clusterId, initialFeatures),
      this.controller.registerBroker({
        ...known,
        brokerId,
        incarnationId: this.#incarnationId,
        directoryIds: logDirs.directories.map(({ directoryId }) => directoryId),
        // Alone there is nobody to catch up with.
        unfenced: true,
      }),
    ])
    if (answer.errorCode !== ErrorCode.NONE) {
      throw new LmqError('LMQ_LOG_DIR_TAKEN', { brokerId, why: answer.errorMessage })
    }
    this.brokerEpoch = answer.brokerEpoch
    this.#membership = await store.join({
      brokerId,
      incarnationId: this.#incarnationId,
      address,
    })
    this.#followBrokerSettings()
    this.partitions.start()
    this.#tail.onDelta((delta) => this.#apply(delta))
  }

  /** Called after this broker's partitions have followed a change. */
  onDelta(listener: DeltaListener): void {
    this.#tail.onDelta(listener)
  }

  /** @throws LMQ_NOT_CONTROLLER, or what the store throws */
  async allocateProducerIds(): Promise<{ firstProducerId: number; count: number }> {
    const { brokerId } = this.#options
    const { brokerEpoch } = this
    const answer = await this.controller.allocateProducerIds({ brokerId, brokerEpoch })
    if (answer.errorCode === ErrorCode.NONE) return answer
    throw new LmqError('LMQ_NOT_CONTROLLER', { error: errorName(answer.errorCode) })
  }

  /** Nobody is left waiting at a partition. Does not close the logs nor the store. */
  async close(): Promise<void> {
    await this.controller.close()
    await this.#membership?.leave()
    await this.#tail.close()
    this.partitions.close()
  }

  #apply(delta: MetadataDelta): void {
    const { brokerId } = this.#options
    const own = configKey(ResourceType.BROKER, String(brokerId))
    const shared = configKey(ResourceType.BROKER, '')
    if (delta.configs.has(own) || delta.configs.has(shared)) {
      this.#followBrokerSettings()
      this.partitions.refreshConfigs()
    }
    this.partitions.apply(delta)
  }

  #followBrokerSettings(): void {
    const { settings, brokerId } = this.#options
    settings.setDynamic({
      broker: this.image.configs(ResourceType.BROKER, String(brokerId)),
      clusterDefault: this.image.configs(ResourceType.BROKER, ''),
    })
  }
}
