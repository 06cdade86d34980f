import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io, Timer } from '../io/io.ts'
import type { ErrorCode } from '../protocol/error-code.ts'
import type { AlterPartitionAnswer, AlterPartitionCommand } from './alter-partition.ts'
import type {
  BrokerChange,
  BrokerRegistration,
  BrokerRun,
  ProducerIdsAnswer,
  RegistrationAnswer,
} from './broker-commands.ts'
import type { AlterClientQuotasCommand, QuotaOutcome } from './client-quota-commands.ts'
import type { AlterConfigsCommand, ConfigChange, ResourceOutcome } from './config-commands.ts'
import type { ConfigRules } from './config-rules.ts'
import { ControllerMachine } from './controller-machine.ts'
import type { ControllerEffect, Decision, Outcome } from './decision.ts'
import type { ElectLeadersAnswer, ElectLeadersCommand } from './elections.ts'
import type { UpdateFeaturesCommand } from './feature-commands.ts'
import { encodeRecords, type MetadataRecord } from './metadata-records.ts'
import type { Candidate, Leadership, MetadataStore, StoreHead, Watch } from './metadata-store.ts'
import type { MetadataTail } from './metadata-tail.ts'
import type { ReassignmentsAnswer, ReassignmentsCommand } from './reassignment.ts'
import type { FailReplicasCommand } from './replica-failures.ts'
import type {
  CreatePartitionsCommand,
  CreateTopicsCommand,
  PartitionsCreation,
  TopicCreation,
} from './topic-commands.ts'
import type { DeleteTopicsCommand, TopicDeletion } from './topic-deletion.ts'

export type ControllerOptions = {
  readonly io: Io
  readonly store: MetadataStore
  /** Of this broker; answers wait for it, so that a client that made a topic finds it here. */
  readonly tail: MetadataTail
  readonly candidate: Candidate
  readonly rules: ConfigRules
  readonly logger: Logger
}

type Waiting = {
  /** After the commit, when this broker's image and partitions have it. */
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
  readonly effects: readonly ControllerEffect[]
  /** Whether its reason still stands; always, unless said. */
  readonly isWanted: (() => boolean) | undefined
}

/** What is decided since the last append, to be committed as one entry. */
type Batch = { records: MetadataRecord[]; waiting: Waiting[] }

const emptyBatch = (): Batch => ({ records: [], waiting: [] })

/** A snapshot is due when the entries behind the last one are this large, and twice as large as it. */
const SNAPSHOT_BYTES = 1024 * 1024
/** Records encoded without giving others their turn. */
const SNAPSHOT_SLICE = 500
/** As long as the hash that it goes into. */
const CLUSTER_SECRET_BYTES = 32
const RETRY_MS = 100
const TAKE_UP_ATTEMPTS = 3
const LONGEST_RETRY_MS = 5_000

/**
 * Drives the controller's machine while this broker leads the metadata log. One append is under way at a time; commands
 * that arrive meanwhile are decided at once and leave together in the next one. A command is answered when its records
 * are committed *and* applied on this broker.
 *
 * Every method throws LMQ_NOT_CONTROLLER when this broker does not lead or loses the lead before the commit is known.
 */
export class Controller {
  readonly #io: Io
  readonly #store: MetadataStore
  readonly #tail: MetadataTail
  readonly #candidate: Candidate
  readonly #rules: ConfigRules
  readonly #logger: Logger
  #leadership: Leadership | undefined
  #machine: ControllerMachine | undefined
  /** Index of the last entry of this leadership's log. */
  #index = -1
  #batch: Batch = emptyBatch()
  #committing: Promise<void> | undefined
  #snapshotting: Promise<void> | undefined
  #snapshotBytes = 0
  #watch: Watch | undefined
  #retry: Timer | undefined
  #campaign: Promise<void> | undefined
  #progress: ((brokerId: number) => number) | undefined
  #onLead: (() => void) | undefined
  /** In a row; a try is planned as long as there are any. */
  #failures = 0
  /** The store had news while this broker ran for the lead: what it found may be no longer so. */
  #mustLook = false
  #closed = false

  constructor({ io, store, tail, candidate, rules, logger }: ControllerOptions) {
    this.#io = io
    this.#store = store
    this.#tail = tail
    this.#candidate = candidate
    this.#rules = rules
    this.#logger = logger
  }

  /** Runs for the lead now, and again whenever nobody has it. */
  async start(): Promise<void> {
    this.#watch = this.#store.watch(() => this.#look())
    await this.#run()
  }

  get isActive(): boolean {
    return this.#machine !== undefined
  }

  /** Nothing is decided here that is not committed. */
  get isSettled(): boolean {
    return !this.#committing && this.#batch.records.length === 0
  }

  /** The epoch of this broker's lead; -1 while it does not lead. */
  get controllerEpoch(): number {
    return this.#leadership?.held ? this.#leadership.controllerEpoch : -1
  }

  /** `listener` is told each time this broker has become the active controller. There is one at most. */
  onLead(listener: () => void): void {
    this.#onLead = listener
  }

  /** Who hears the brokers' heartbeats tells here how far they have read the metadata; -1: not known. */
  followProgress(appliedIndexOf: (brokerId: number) => number): void {
    this.#progress = appliedIndexOf
  }

  /** Index of the last metadata entry that a broker is known to have applied; -1 when nobody said. */
  appliedIndexOf(brokerId: number): number {
    if (brokerId === this.#candidate.brokerId) return this.#tail.image.index
    return this.#progress?.(brokerId) ?? -1
  }

  /** Writes the first entry of a new log. @returns the id of the cluster that the log belongs to */
  bootstrap(clusterId: string, features: ReadonlyMap<string, number>): Promise<string> {
    const secret = this.#io.random.bytes(CLUSTER_SECRET_BYTES).toString('base64')
    return this.#submit((machine) => machine.bootstrap(clusterId, features, secret))
  }

  /** Topic ids are chosen here. */
  createTopics(command: Omit<CreateTopicsCommand, 'topicIds'>): Promise<TopicCreation[]> {
    const topicIds = command.topics.map(() => this.#io.random.uuid())
    return this.#submit((machine) => machine.createTopics({ ...command, topicIds }))
  }

  deleteTopics(command: DeleteTopicsCommand): Promise<TopicDeletion[]> {
    return this.#submit((machine) => machine.deleteTopics(command))
  }

  createPartitions(command: CreatePartitionsCommand): Promise<PartitionsCreation[]> {
    return this.#submit((machine) => machine.createPartitions(command))
  }

  alterConfigs(
    command: AlterConfigsCommand<{ name: string; value: string | null }>,
  ): Promise<ResourceOutcome[]> {
    return this.#submit((machine) => machine.alterConfigs(command))
  }

  incrementalAlterConfigs(command: AlterConfigsCommand<ConfigChange>): Promise<ResourceOutcome[]> {
    return this.#submit((machine) => machine.incrementalAlterConfigs(command))
  }

  alterClientQuotas(command: AlterClientQuotasCommand): Promise<QuotaOutcome[]> {
    return this.#submit((machine) => machine.alterClientQuotas(command))
  }

  updateFeatures(command: Omit<UpdateFeaturesCommand, 'brokerId'>): Promise<Outcome> {
    const { brokerId } = this.#candidate
    return this.#submit((machine) => machine.updateFeatures({ ...command, brokerId }))
  }

  registerBroker(registration: BrokerRegistration): Promise<RegistrationAnswer> {
    return this.#submit((machine) => machine.registerBroker(registration))
  }

  changeBroker(change: BrokerChange): Promise<Outcome> {
    return this.#submit((machine) => machine.changeBroker(change))
  }

  /**
   * @param isWanted whether its reason still stands. An entry may wait long for a store that is away; one with a decision
   *   that has outlived its reason is given up, and the lead with it: what is decided after it may rest on it.
   */
  fenceBrokers(runs: readonly BrokerRun[], isWanted: () => boolean): Promise<Outcome> {
    return this.#submit((machine) => machine.fenceBrokers(runs), isWanted)
  }

  unregisterBroker(brokerId: number): Promise<Outcome> {
    return this.#submit((machine) => machine.unregisterBroker(brokerId))
  }

  /** A broker's word on which of its replicas lay on a disk that failed. @returns of the command as a whole */
  failReplicas(command: FailReplicasCommand): Promise<ErrorCode> {
    return this.#submit((machine) => machine.failReplicas(command))
  }

  /** A leader's wish for other in-sync replicas. */
  alterPartition(command: AlterPartitionCommand): Promise<AlterPartitionAnswer> {
    return this.#submit((machine) => machine.alterPartition(command))
  }

  electLeaders(command: ElectLeadersCommand): Promise<ElectLeadersAnswer> {
    return this.#submit((machine) => machine.electLeaders(command))
  }

  /** One round of unclean elections where they are allowed. @returns whether there may be more to do */
  electLeaderless(): Promise<boolean> {
    return this.#submit((machine) => machine.electLeaderless())
  }

  /** One round of handing partitions back to their preferred leaders. @returns whether there may be more to do */
  balanceLeaders(): Promise<boolean> {
    return this.#submit((machine) => machine.balanceLeaders())
  }

  alterPartitionReassignments(command: ReassignmentsCommand): Promise<ReassignmentsAnswer> {
    return this.#submit((machine) => machine.alterReassignments(command))
  }

  allocateProducerIds(broker: {
    brokerId: number
    brokerEpoch: number
  }): Promise<ProducerIdsAnswer> {
    return this.#submit((machine) => machine.allocateProducerIds(broker))
  }

  /** Finishes what is under way, then gives the lead back. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#watch?.stop()
    this.#retry?.cancel()
    await this.#campaign
    await this.#committing
    await this.#snapshotting
    await this.#leadership?.release()
    this.#stepDown(new LmqError('LMQ_SHUTTING_DOWN', {}))
  }

  #submit<Answer>(
    decide: (machine: ControllerMachine) => Decision<Answer>,
    isWanted?: () => boolean,
  ): Promise<Answer> {
    const machine = this.#machine
    if (this.#closed) return Promise.reject(new LmqError('LMQ_SHUTTING_DOWN', {}))
    if (!machine) return Promise.reject(new LmqError('LMQ_NOT_CONTROLLER', {}))
    return new Promise((resolve, reject) => {
      const { answer, records, effects } = decide(machine)
      // Also an answer without records may rest on what is not committed yet: it leaves with it.
      if (records.length === 0 && !this.#committing && this.#batch.records.length === 0) {
        resolve(answer)
        return
      }
      for (const record of records) {
        machine.apply(record)
        this.#batch.records.push(record)
      }
      this.#batch.waiting.push({ resolve: () => resolve(answer), reject, effects, isWanted })
      if (!this.#committing) this.#commitSoon()
    })
  }

  /** Commands of the same turn leave together. */
  #commitSoon(): void {
    this.#committing = new Promise<void>((resolve) => this.#io.timers.endOfTurn(resolve)).then(() =>
      this.#commitAll(),
    )
  }

  /** Ends with nothing waiting and `#committing` cleared, in one turn: who submits next begins anew. Never rejects. */
  async #commitAll(): Promise<void> {
    while (this.#batch.waiting.length > 0) {
      await this.#commitBatch()
      this.#snapshotIfDue()
    }
    this.#committing = undefined
  }

  async #commitBatch(): Promise<void> {
    const { records, waiting } = this.#batch
    this.#batch = emptyBatch()
    try {
      await this.#commit(records, () => waiting.every(({ isWanted }) => isWanted?.() !== false))
    } catch (error) {
      for (const { reject } of waiting) reject(error)
      this.#stepDown(error)
      return
    }
    for (const { effects } of waiting) {
      for (const { facts, message } of effects) this.#logger.info(facts, message)
    }
    for (const { resolve } of waiting) resolve()
  }

  async #commit(records: readonly MetadataRecord[], isWanted: () => boolean): Promise<void> {
    const leadership = this.#leadership
    if (!leadership || !isWanted()) throw new LmqError('LMQ_NOT_CONTROLLER', {})
    if (records.length > 0) {
      const payload = encodeRecords(records)
      this.#index = await this.#store.append(leadership, this.#index, payload, isWanted)
    }
    await this.#tail.applied(this.#index)
  }

  /** Commands go on meanwhile. */
  #snapshotIfDue(): void {
    if (this.#closed) return
    this.#snapshotting ??= this.#snapshot().finally(() => {
      this.#snapshotting = undefined
    })
  }

  /**
   * Taken from a copy of this broker's image, which holds what is committed and nothing else. A large one is encoded in
   * slices: ten thousand partitions would hold the event loop for 50 ms.
   */
  async #snapshot(): Promise<void> {
    const leadership = this.#leadership
    if (!leadership) return
    try {
      const bytes = await this.#store.bytesSinceSnapshot()
      if (bytes < Math.max(SNAPSHOT_BYTES, 2 * this.#snapshotBytes)) return
      const image = this.#tail.image.copy()
      const chunks: Buffer[] = []
      let slice: MetadataRecord[] = []
      for (const record of image.toRecords()) {
        if (slice.push(record) < SNAPSHOT_SLICE) continue
        chunks.push(encodeRecords(slice))
        slice = []
        await new Promise<void>((resolve) => this.#io.timers.endOfTurn(resolve))
      }
      chunks.push(encodeRecords(slice))
      const payload = Buffer.concat(chunks)
      this.#snapshotBytes = payload.length
      await this.#store.writeSnapshot(leadership, { index: image.index, payload })
    } catch (error) {
      if (this.#leadership === leadership) this.#stepDown(error)
    }
  }

  #look(): void {
    this.#mustLook = this.#campaign !== undefined
    if (this.#closed || this.#leadership?.held || this.#campaign || this.#failures > 0) return
    this.#retry?.cancel()
    // A little chance, so that brokers that saw the same loss do not all run at the same moment.
    this.#retry = this.#io.timers.schedule(this.#io.random.int(20), () => {
      this.#run().catch(() => {})
    })
  }

  #run(): Promise<void> {
    this.#campaign ??= this.#campaignOnce().finally(() => {
      this.#campaign = undefined
      if (this.#mustLook) this.#look()
    })
    return this.#campaign
  }

  async #campaignOnce(): Promise<void> {
    if (this.#closed || this.#leadership?.held) return
    try {
      const leadership = await this.#win()
      if (leadership) await this.#takeLead(leadership)
      this.#failures = 0
    } catch (error) {
      if (this.#closed) return
      if (this.#failures++ === 0) {
        this.#logger.warn({ error: String(error) }, 'cannot become the controller; trying again')
      }
      const delayMs = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures, 10))
      this.#retry = this.#io.timers.schedule(delayMs, () => {
        this.#run().catch(() => {})
      })
      throw error
    }
  }

  /** @returns undefined while somebody else leads */
  async #win(): Promise<Leadership | undefined> {
    const { controllerId } = await this.#store.head()
    return controllerId >= 0 ? undefined : this.#store.lead(this.#candidate)
  }

  async #takeLead(leadership: Leadership): Promise<void> {
    try {
      await this.#takeUp(leadership)
    } catch (error) {
      // Nobody else could lead while this broker holds what it makes no use of.
      await leadership.release().catch(() => {})
      throw error
    }
  }

  /** What the former controller committed is this one's past, too: the machine starts where the log ends. */
  async #takeUp(leadership: Leadership): Promise<void> {
    const { index } = await this.#headUnder(leadership)
    await this.#tail.applied(index)
    const machine = new ControllerMachine(this.#rules, this.#tail.image.copy())
    if (!leadership.held) return
    this.#index = index
    this.#leadership = leadership
    this.#machine = machine
    leadership.onLost(() => this.#stepDown(new LmqError('LMQ_NOT_CONTROLLER', {})))
    const { controllerEpoch } = leadership
    this.#logger.debug({ controllerEpoch, index }, 'this broker is the controller')
    this.#onLead?.()
  }

  /** One answer that does not come is no reason to give back what others cannot have won, either. */
  async #headUnder(leadership: Leadership): Promise<StoreHead> {
    for (let failures = 0; ; ) {
      try {
        return await this.#store.head()
      } catch (error) {
        const isSilence = error instanceof LmqError && error.code === 'LMQ_STORE_UNREACHABLE'
        if (!isSilence || !leadership.held || this.#closed) throw error
        if (++failures === TAKE_UP_ATTEMPTS) throw error
        await new Promise<void>((resolve) => this.#io.timers.schedule(RETRY_MS, resolve))
      }
    }
  }

  #stepDown(error: unknown): void {
    const leadership = this.#leadership
    this.#machine = undefined
    this.#leadership = undefined
    const { waiting } = this.#batch
    this.#batch = emptyBatch()
    for (const { reject } of waiting) reject(error)
    if (!leadership) return
    if (!this.#closed) {
      this.#logger.warn({ error: String(error) }, 'this broker is no longer the controller')
    }
    leadership.release().catch(() => {})
    this.#look()
  }
}
