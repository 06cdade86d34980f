import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io, Timer } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { Controller } from './controller.ts'
import { type DiskUsage, sizeKey } from './disk-usage.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import { type ThrottleChange, throttleFor, throttleLeftOver } from './move-throttle.ts'
import { isReassigning } from './partition-change.ts'
import {
  type PlanBroker,
  type PlannedMove,
  type PlanPartition,
  planRebalance,
} from './rebalance-plan.ts'
import { failureDomainOf } from './topic-commands.ts'

export type BalanceOptions = {
  readonly io: Pick<Io, 'timers' | 'monotonic'>
  /** Of this broker: on the controller it holds all that is committed. */
  readonly image: MetadataImage
  readonly controller: Pick<
    Controller,
    | 'isActive'
    | 'electLeaderless'
    | 'balanceLeaders'
    | 'alterPartitionReassignments'
    | 'incrementalAlterConfigs'
  >
  /** This broker. */
  readonly brokerId: number
  /** What the disks of these brokers hold, as far as they say so. */
  readonly disks: (brokerIds: readonly number[]) => Promise<readonly DiskUsage[]>
  /** The settings in force; they change. */
  readonly config: BrokerConfig
  readonly logger: Logger
}

/** What a look at the cluster found. */
export type BalanceReport = {
  /** Why nothing would be moved now, whatever there is to move. */
  readonly waitsFor: string | undefined
  readonly moves: readonly PlannedMove[]
}

/** A throttle that nothing needs goes after this time. */
const THROTTLE_STAYS_MS = 5_000

/** Moves that a dry run shows. */
const ALL_MOVES = 10_000

/**
 * Keeps the cluster even by itself, on the broker that is the controller: hands partitions back to their preferred
 * leaders (`auto.leader.rebalance.enable`), and, where `lmq.rebalance.enable` says so, moves replicas to brokers that
 * joined and away from those that left for good or fill up. A few moves at a time, not faster than
 * `lmq.rebalance.rate.bytes`, and none while a broker is away that may come back. Switching the setting off pauses it;
 * moves under way are ended or cancelled as any reassignment. The throttle of a move goes when the move is done, also
 * that of `lmq cluster rebalance`.
 */
export class Balance {
  readonly #options: BalanceOptions
  #leaderTimer: Timer | undefined
  #moveTimer: Timer | undefined
  /** By broker: since when it has been away, under which broker epoch. */
  readonly #away = new Map<number, { readonly brokerEpoch: number; readonly sinceMs: number }>()
  /** No data is moved before: what was begun last should be through by then. */
  #nextMs = 0
  /** Since when there are throttles that nothing needs. */
  #unneededMs: number | undefined
  #closed = false

  constructor(options: BalanceOptions) {
    this.#options = options
  }

  start(): void {
    this.#leadersLater()
    this.#movesLater()
  }

  close(): void {
    this.#closed = true
    this.#leaderTimer?.cancel()
    this.#moveTimer?.cancel()
  }

  #leadersLater(): void {
    if (this.#closed) return
    const delayMs = Math.min(
      this.#options.config['leader.imbalance.check.interval.seconds'] * 1_000,
      LONGEST_MS,
    )
    this.#leaderTimer = this.#options.io.timers.schedule(delayMs, () => {
      void this.#balanceLeaders().finally(() => this.#leadersLater())
    })
  }

  /** Never rejects. */
  async #balanceLeaders(): Promise<void> {
    const { controller, config } = this.#options
    await this.#quietly(async () => {
      for (let isMore = true; isMore; ) {
        if (this.#closed || !controller.isActive) return
        isMore = await controller.electLeaderless()
      }
      for (let isMore = true; isMore; ) {
        if (this.#closed || !controller.isActive) return
        if (!config['auto.leader.rebalance.enable']) return
        isMore = await controller.balanceLeaders()
      }
    })
  }

  #movesLater(): void {
    if (this.#closed) return
    const delayMs = this.#options.config['lmq.rebalance.interval.ms']
    this.#moveTimer = this.#options.io.timers.schedule(delayMs, () => {
      void this.#quietly(() => this.#move()).finally(() => this.#movesLater())
    })
  }

  /** What would be moved, all of it, whether automatic moves are switched on or not. */
  async dryRun(): Promise<BalanceReport> {
    const { waitsFor, brokers } = this.#look()
    return { waitsFor, moves: await this.#plan(brokers, ALL_MOVES) }
  }

  async #move(): Promise<void> {
    const { controller, config, image, io, logger } = this.#options
    if (!controller.isActive) this.#away.clear()
    if (!controller.isActive) return
    await this.#endThrottles()
    if (!config['lmq.rebalance.enable']) return
    const { waitsFor, brokers } = this.#look()
    if (waitsFor !== undefined || io.monotonic.nowMs() < this.#nextMs) return
    const moves = await this.#plan(brokers, config['lmq.rebalance.max.moves'])
    if (moves.length === 0 || this.#closed || !config['lmq.rebalance.enable']) return
    const isAll = (topic: string, name: string): boolean =>
      image.configs(ResourceType.TOPIC, topic).get(name)?.includes('*') ?? false
    await this.#alter(throttleFor(moves, config['lmq.rebalance.rate.bytes'], isAll))
    const answer = await controller.alterPartitionReassignments({
      topics: moves.map(({ topic, partitionIndex, after }) => ({
        name: topic,
        partitions: [{ partitionIndex, replicas: after }],
      })),
      allowReplicationFactorChange: false,
    })
    const refused = answer.topics
      .flatMap(({ partitions }) => partitions)
      .filter(({ errorCode }) => errorCode !== ErrorCode.NONE).length
    let sizeBytes = 0
    for (const move of moves) sizeBytes += move.sizeBytes
    this.#nextMs =
      io.monotonic.nowMs() + Math.ceil((sizeBytes * 1_000) / config['lmq.rebalance.rate.bytes'])
    logger.info({ moves: moves.length, sizeBytes, refused }, 'replicas move to even the cluster')
  }

  /** A throttle is there before its moves are: what nothing needs is looked at for a while before it goes. */
  async #endThrottles(): Promise<void> {
    const { image, io } = this.#options
    const changes = throttleLeftOver(image)
    const nowMs = io.monotonic.nowMs()
    if (changes.length === 0) {
      this.#unneededMs = undefined
      return
    }
    this.#unneededMs ??= nowMs
    if (nowMs - this.#unneededMs >= THROTTLE_STAYS_MS) await this.#alter(changes)
  }

  async #alter(resources: readonly ThrottleChange[]): Promise<void> {
    if (resources.length === 0) return
    const { controller, brokerId } = this.#options
    await controller.incrementalAlterConfigs({ resources, validateOnly: false, brokerId })
  }

  /** Who may have replicas, and whether now is a time to move any. */
  #look(): { waitsFor: string | undefined; brokers: PlanBroker[] } {
    const { image, io, config } = this.#options
    const nowMs = io.monotonic.nowMs()
    const goneMs = config['lmq.rebalance.gone.after.ms']
    let waitsFor: string | undefined
    const brokers: PlanBroker[] = []
    for (const broker of image.brokers.values()) {
      const { brokerId, brokerEpoch, fenced, inControlledShutdown } = broker
      if (!fenced && !inControlledShutdown) {
        this.#away.delete(brokerId)
        brokers.push({ brokerId, failureDomain: failureDomainOf(broker) })
        continue
      }
      const known = this.#away.get(brokerId)
      const sinceMs = known?.brokerEpoch === brokerEpoch ? known.sinceMs : nowMs
      this.#away.set(brokerId, { brokerEpoch, sinceMs })
      if (goneMs >= 0 && nowMs - sinceMs >= goneMs) continue
      waitsFor = `broker ${brokerId} is away and may come back`
    }
    return { waitsFor, brokers }
  }

  async #plan(brokers: readonly PlanBroker[], maxMoves: number): Promise<PlannedMove[]> {
    const { disks, image, config } = this.#options
    const usage = await disks(brokers.map(({ brokerId }) => brokerId))
    const withDisks = brokers.map((broker) => {
      const found = usage.find(({ brokerId }) => brokerId === broker.brokerId)
      if (!found || found.totalBytes <= 0) return broker
      const { totalBytes, usedBytes } = found
      return { ...broker, disk: { totalBytes, usedBytes } }
    })
    const sizes = new Map<string, number>()
    for (const each of usage) {
      for (const [key, bytes] of each.sizes) sizes.set(key, Math.max(bytes, sizes.get(key) ?? 0))
    }
    const fullAt = config['lmq.rebalance.disk.percent'] / 100
    return planRebalance(withDisks, planPartitions(image, sizes), { maxMoves, fullAt })
  }

  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      this.#options.logger.debug({ code: error.code }, 'the cluster could not be evened now')
    }
  }
}

/** Timers go no further. */
const LONGEST_MS = 86_400_000

/** The image's partitions as a plan sees them; a reassignment under way counts as what it leads to. */
function planPartitions(image: MetadataImage, sizes: ReadonlyMap<string, number>): PlanPartition[] {
  const all: PlanPartition[] = []
  for (const { name: topic, partitions } of image.topics.values()) {
    for (const partition of partitions) {
      const { partitionIndex, removingReplicas } = partition
      all.push({
        topic,
        partitionIndex,
        replicas: partition.replicas.filter((replica) => !removingReplicas.includes(replica)),
        sizeBytes: sizes.get(sizeKey(topic, partitionIndex)) ?? 0,
        isMoving: isReassigning(partition),
      })
    }
  }
  return all
}
