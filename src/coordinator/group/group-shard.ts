/**
 * All groups of one partition of `__consumer_offsets`: loads them when this broker becomes the partition's leader, carries
 * out what their machines decide (answers, records, time-outs), and lets go when leadership moves. Nothing is answered
 * that depends on a record before that record is committed.
 *
 * A write that fails in a way that leaves memory ahead of the log (anything but an offset commit or an assignment)
 * makes the shard load again: the log is right, and members find their way back as after a failover.
 */
import { assert } from '../../base/assert.ts'
import type { Logger } from '../../base/logger.ts'
import type { Io, Timer } from '../../io/io.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { CoordinatorLog, GroupSettings } from '../ports.ts'
import { RecordWriter } from '../record-writer.ts'
import { ClassicGroupMachine, type ClassicGroupSettings } from './classic-group-machine.ts'
import {
  type GroupDecision,
  type JoinAnswer,
  type JoinCommand,
  type LeaveAnswer,
  type LeavingMember,
  refusedJoin,
  type SyncAnswer,
  type SyncCommand,
} from './group-commands.ts'
import type { GroupCounters } from './group-counters.ts'
import { type LoadedGroups, loadGroups } from './group-loading.ts'
import { GroupOffsets } from './group-offsets.ts'
import {
  encodeGroupRecord,
  type GroupMetadata,
  type GroupRecord,
  type OffsetRecord,
} from './group-records.ts'
import type { UnsettledGroups } from './unsettled-groups.ts'
import { writeOutcome } from './write-outcome.ts'

export type ShardParts = {
  readonly io: Io
  readonly logger: Logger
  readonly settings: GroupSettings
  readonly log: CoordinatorLog
  readonly counters: GroupCounters
}

type Entry = { readonly machine: ClassicGroupMachine; timer: Timer | undefined; armedForMs: number }
type Waiters<A> = Map<number, (answer: A) => void>

/** Multiples of it spread evenly over [0, 1). */
const GOLDEN_SHARE = 0.618_033_988_75
/** How much of the groups is looked at in one turn of the event loop. */
const EXPIRY_SLICE_MS = 2
const EXPIRY_SLICE_GROUPS = 1_000

export class GroupShard {
  readonly partitionIndex: number
  readonly leaderEpoch: number
  state: 'loading' | 'active' | 'failed' | 'closed' = 'loading'
  /** Resolves when the first load has ended, well or not. */
  readonly loaded: Promise<void>
  offsets = new GroupOffsets()
  #unsettled: UnsettledGroups | undefined
  readonly #parts: ShardParts
  readonly #groupSettings: ClassicGroupSettings
  #groups = new Map<string, Entry>()
  #writer: RecordWriter<GroupRecord>
  readonly #joins: Waiters<JoinAnswer> = new Map()
  readonly #syncs: Waiters<SyncAnswer> = new Map()
  #lastRequestId = 0
  #expiryTimer: Timer | undefined

  constructor(partitionIndex: number, leaderEpoch: number, parts: ShardParts) {
    this.partitionIndex = partitionIndex
    this.leaderEpoch = leaderEpoch
    this.#parts = parts
    this.#groupSettings = {
      initialRebalanceDelayMs: parts.settings['group.initial.rebalance.delay.ms'],
      maxSize: parts.settings['group.max.size'],
    }
    this.#writer = this.#newWriter()
    this.loaded = this.#load()
  }

  // ---- Questions ----

  /** NONE, or what requests are told instead of being served. */
  get refusal(): ErrorCode {
    if (this.state === 'active') return ErrorCode.NONE
    return this.state === 'loading'
      ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
      : ErrorCode.NOT_COORDINATOR
  }

  group(groupId: string): ClassicGroupMachine | undefined {
    return this.#groups.get(groupId)?.machine
  }

  *groups(): Generator<ClassicGroupMachine> {
    for (const { machine } of this.#groups.values()) yield machine
  }

  /** In whole milliseconds, as records have it. */
  nowMs(): number {
    return Math.floor(this.#parts.io.brokerClock.nowMs())
  }

  /** Runs `passed` when no earlier commit is on its way to the log any more. */
  afterEarlierWrites(passed: () => void): void {
    this.#writer.afterEarlierWrites(passed)
  }

  /** Whether what is known of a group's offsets can no longer be lost. */
  isSettled(groupId: string): boolean {
    return this.#unsettled === undefined || !this.#unsettled.has(groupId)
  }

  /** Waits until it is. @returns NONE, or what requests are told instead of being served */
  async settled(groupId: string): Promise<ErrorCode> {
    const { io, settings } = this.#parts
    await this.#unsettled?.wait(groupId, io.timers, settings['offsets.commit.timeout.ms'])
    if (this.refusal !== ErrorCode.NONE) return this.refusal
    return this.isSettled(groupId) ? ErrorCode.NONE : ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
  }

  // ---- Commands ----

  join(groupId: string, command: Omit<JoinCommand, 'requestId'>): Promise<JoinAnswer> {
    const isNew = !this.#groups.has(groupId)
    if (isNew && command.memberId !== '') {
      return Promise.resolve(refusedJoin(ErrorCode.UNKNOWN_MEMBER_ID, command.memberId))
    }
    const entry = this.#groups.get(groupId) ?? this.#add(this.#newGroup(groupId))
    const { machine } = entry
    const requestId = ++this.#lastRequestId
    const answered = new Promise<JoinAnswer>((resolve) => this.#joins.set(requestId, resolve))
    this.#carryOut(entry, machine.join({ ...command, requestId }, this.nowMs()))
    if (!isNew) return answered
    const isUsed = machine.roster.size > 0 || machine.roster.pendingJoins.size > 0
    if (isUsed) this.#carryOut(entry, machine.created())
    else this.#drop(entry)
    return answered
  }

  sync(machine: ClassicGroupMachine, command: Omit<SyncCommand, 'requestId'>): Promise<SyncAnswer> {
    const requestId = ++this.#lastRequestId
    const answered = new Promise<SyncAnswer>((resolve) => this.#syncs.set(requestId, resolve))
    this.#carryOut(this.#entry(machine), machine.sync({ ...command, requestId }, this.nowMs()))
    return answered
  }

  /** @returns one answer per member, or the error of writing that the group is empty now */
  leave(
    machine: ClassicGroupMachine,
    members: readonly LeavingMember[],
  ): Promise<LeaveAnswer[] | ErrorCode> {
    const answers: LeaveAnswer[] = []
    const decision = machine.leave(members, answers, this.nowMs())
    return new Promise((resolve) => {
      this.#carryOut(this.#entry(machine), decision, (errorCode) =>
        resolve(errorCode === ErrorCode.NONE ? answers : errorCode),
      )
    })
  }

  /** Call after a command of a machine that gives no decision: its time-outs may have moved. */
  watch(machine: ClassicGroupMachine): void {
    this.#arm(this.#entry(machine))
  }

  /** Writes commits or removals of offsets. @returns NONE or what clients are told */
  writeOffsets(records: readonly OffsetRecord[]): Promise<ErrorCode> {
    if (records.length === 0) return Promise.resolve(ErrorCode.NONE)
    return new Promise((resolve) => {
      this.#writer.write(records, (errorCode) => resolve(writeOutcome(errorCode)))
    })
  }

  /** The records that remove these offsets, those on their way included. */
  tombstones(
    groupId: string,
    partitions: readonly { topic: string; partitionIndex: number }[],
  ): OffsetRecord[] {
    const onTheirWay = new Set<string>()
    for (const { topic, partitionIndex } of this.#offsetsInFlight(groupId)) {
      onTheirWay.add(`${partitionIndex} ${topic}`)
    }
    return partitions.flatMap(({ topic, partitionIndex }) => {
      if (onTheirWay.has(`${partitionIndex} ${topic}`)) {
        return [{ kind: 'offset', groupId, topic, partitionIndex, value: null } as const]
      }
      return this.offsets.tombstone(groupId, topic, partitionIndex) ?? []
    })
  }

  /** Removes an empty group with all its offsets. @returns what the client is told */
  deleteGroup(groupId: string): Promise<ErrorCode> {
    const entry = this.#groups.get(groupId)
    if (!entry) return Promise.resolve(ErrorCode.GROUP_ID_NOT_FOUND)
    if (entry.machine.state !== 'Empty') return Promise.resolve(ErrorCode.NON_EMPTY_GROUP)
    const offsets = new Map<string, OffsetRecord>()
    for (const record of this.#offsetsInFlight(groupId)) {
      offsets.set(`${record.partitionIndex} ${record.topic}`, { ...record, value: null })
    }
    for (const record of this.offsets.tombstonesOfGroup(groupId)) {
      offsets.set(`${record.partitionIndex} ${record.topic}`, record)
    }
    this.#carryOut(entry, entry.machine.die(ErrorCode.UNKNOWN_MEMBER_ID))
    this.#drop(entry)
    return this.#writeRemoval([...offsets.values(), { kind: 'group', groupId, value: null }])
  }

  /** Topics are gone: so are their offsets in every group, those on their way included. */
  async forgetTopics(topics: ReadonlySet<string>): Promise<void> {
    if (this.state === 'loading') await this.loaded
    if (this.state !== 'active') return
    const onTheirWay: OffsetRecord[] = []
    for (const record of this.#writer.inFlight()) {
      if (record.kind !== 'offset' || record.value === null || !topics.has(record.topic)) continue
      onTheirWay.push({ ...record, value: null })
    }
    await this.writeOffsets([...this.offsets.tombstonesOfTopics(topics), ...onTheirWay])
  }

  /** Removes what has outlived its retention: offsets, then groups that are empty and have none left. */
  expire(): void {
    void this.#expireSlices([...this.#groups.values()])
  }

  /** Lets every time-out happen that is due: for whoever moves the broker's clock by hand. */
  wakeAll(): void {
    if (this.state !== 'active') return
    for (const entry of [...this.#groups.values()]) this.#wake(entry)
  }

  /** This broker is not the coordinator any more: whoever waits is told so. */
  close(): void {
    this.state = 'closed'
    this.#forgetAll()
  }

  // ---- Carrying out decisions ----

  /** @param done runs when nothing of the decision is left to be written */
  #carryOut(entry: Entry, decision: GroupDecision, done?: (errorCode: ErrorCode) => void): void {
    const { machine } = entry
    for (const effect of decision.effects) {
      if (effect.kind === 'join') settle(this.#joins, effect.requestId, effect.answer)
      else if (effect.kind === 'sync') settle(this.#syncs, effect.requestId, effect.answer)
      else this.#log(machine, effect.message, effect.reason)
    }
    const { record, settlement } = decision
    if (record && settlement) {
      const value: GroupRecord = { kind: 'group', groupId: machine.groupId, value: record }
      const writer = this.#writer
      writer.write([value], (failure) => {
        const errorCode = writeOutcome(failure)
        if (writer === this.#writer) {
          const rebalances = machine.completedRebalances
          this.#carryOut(entry, machine.settle(settlement, errorCode, this.nowMs()))
          this.#parts.counters.completedRebalances += machine.completedRebalances - rebalances
          if (errorCode !== ErrorCode.NONE && settlement.kind !== 'assigned') this.#reload()
        }
        done?.(errorCode)
      })
    } else {
      done?.(ErrorCode.NONE)
    }
    this.#arm(entry)
  }

  #log(machine: ClassicGroupMachine, message: string, reason: string | undefined): void {
    const { groupId, generationId } = machine
    const facts =
      reason === undefined ? { groupId, generationId } : { groupId, generationId, reason }
    this.#parts.logger.info(facts, message)
  }

  /** Renewals move deadlines only back, so a timer that is early costs one look and no heartbeat sets one. */
  #arm(entry: Entry): void {
    const { wakeAtMs } = entry.machine
    if (wakeAtMs >= entry.armedForMs || !this.#isCurrent(entry)) return
    entry.timer?.cancel()
    entry.timer = undefined
    entry.armedForMs = wakeAtMs
    const { timers } = this.#parts.io
    const delayMs = wakeAtMs - this.#parts.io.brokerClock.nowMs()
    if (delayMs <= 0) timers.endOfTurn(() => this.#wake(entry))
    else entry.timer = timers.schedule(Math.ceil(delayMs), () => this.#wake(entry))
  }

  #wake(entry: Entry): void {
    if (!this.#isCurrent(entry)) return
    entry.timer?.cancel()
    entry.timer = undefined
    entry.armedForMs = Number.POSITIVE_INFINITY
    this.#carryOut(entry, entry.machine.tick(this.nowMs()))
  }

  #isCurrent(entry: Entry): boolean {
    return this.#groups.get(entry.machine.groupId) === entry
  }

  async #writeRemoval(records: readonly GroupRecord[]): Promise<ErrorCode> {
    const writer = this.#writer
    const errorCode = await new Promise<ErrorCode>((resolve) => {
      writer.write(records, (failure) => resolve(writeOutcome(failure)))
    })
    if (errorCode !== ErrorCode.NONE && writer === this.#writer) this.#reload()
    return errorCode
  }

  /** What a committed record changes here: offsets only, machines have changed when they decided. */
  #apply(record: GroupRecord, offset: number): void {
    const { groupId } = record
    if (record.kind === 'offset') {
      this.offsets.apply(record, offset)
      // A consumer that only stores offsets makes a group by its first commit.
      if (record.value && !this.#groups.has(groupId)) this.#add(this.#newGroup(groupId))
    } else if (record.value === null) {
      const entry = this.#groups.get(groupId)
      const isLeftover =
        entry?.machine.protocolType === null && !entry.machine.roster.pendingJoins.size
      // A commit that was on its way when the group was deleted brought it back for a moment.
      if (entry && isLeftover && entry.machine.state === 'Empty') {
        if (!this.offsets.ofGroup(groupId) && !this.#isBusy(groupId)) this.#drop(entry)
      }
    }
  }

  // ---- Expiry ----

  /** A few milliseconds at a time: there may be many groups, and nobody waits for this. */
  async #expireSlices(entries: readonly Entry[]): Promise<void> {
    const { io } = this.#parts
    for (let at = 0; at < entries.length; ) {
      const endMs = io.monotonic.nowMs() + EXPIRY_SLICE_MS
      const busy = new Set<string>()
      for (const record of this.#writer.inFlight()) busy.add(record.groupId)
      const slice: Entry[] = []
      for (; at < entries.length && io.monotonic.nowMs() < endMs; at++) {
        const entry = entries[at] as Entry
        if (this.#isCurrent(entry) && !busy.has(entry.machine.groupId)) slice.push(entry)
        if (slice.length >= EXPIRY_SLICE_GROUPS) break
      }
      this.#expireGroups(slice)
      if (at < entries.length) await new Promise<void>((next) => io.timers.endOfTurn(next))
      if (this.state !== 'active') return
    }
  }

  #expireGroups(entries: readonly Entry[]): void {
    const { counters, logger } = this.#parts
    const records: GroupRecord[] = []
    let dropped = 0
    for (const entry of entries) {
      const { machine } = entry
      const offsets = this.#expiredOffsets(machine)
      records.push(...offsets)
      counters.offsetExpirations += offsets.length
      if (!this.#isDeserted(machine, offsets.length)) continue
      records.push({ kind: 'group', groupId: machine.groupId, value: null })
      this.#drop(entry)
      dropped++
    }
    if (records.length === 0) return
    const { partitionIndex } = this
    logger.info(
      { partitionIndex, records: records.length, groups: dropped },
      'removing expired offsets and deserted groups',
    )
    void this.#writeRemoval(records)
  }

  // ---- Groups ----

  #newGroup(groupId: string): ClassicGroupMachine {
    return new ClassicGroupMachine(groupId, this.#groupSettings, this.nowMs())
  }

  #add(machine: ClassicGroupMachine): Entry {
    const entry: Entry = { machine, timer: undefined, armedForMs: Number.POSITIVE_INFINITY }
    this.#groups.set(machine.groupId, entry)
    return entry
  }

  #drop(entry: Entry): void {
    entry.timer?.cancel()
    if (this.#isCurrent(entry)) this.#groups.delete(entry.machine.groupId)
  }

  #entry(machine: ClassicGroupMachine): Entry {
    const entry = this.#groups.get(machine.groupId)
    assert(entry?.machine === machine, 'a group is looked up and used in one turn')
    return entry
  }

  *#offsetsInFlight(groupId: string): Generator<OffsetRecord> {
    for (const record of this.#writer.inFlight()) {
      if (record.kind === 'offset' && record.groupId === groupId && record.value) yield record
    }
  }

  #isBusy(groupId: string): boolean {
    for (const _record of this.#offsetsInFlight(groupId)) return true
    return false
  }

  #expiredOffsets(machine: ClassicGroupMachine): OffsetRecord[] {
    const retentionMs = this.#parts.settings['offsets.retention.minutes'] * 60_000
    if (machine.retentionStart(0) === undefined) return []
    return this.offsets.expired(
      machine.groupId,
      (topic) => !machine.isSubscribedTo(topic),
      (commitTimestampMs) => machine.retentionStart(commitTimestampMs) ?? commitTimestampMs,
      this.nowMs(),
      retentionMs,
    )
  }

  #isDeserted(machine: ClassicGroupMachine, expiredOffsets: number): boolean {
    return (
      machine.state === 'Empty' &&
      machine.roster.pendingJoins.size === 0 &&
      this.offsets.countOf(machine.groupId) === expiredOffsets &&
      !this.offsets.hasOpenTransaction(machine.groupId)
    )
  }

  #forgetAll(): void {
    this.#expiryTimer?.cancel()
    for (const entry of [...this.#groups.values()]) {
      this.#carryOut(entry, entry.machine.die(ErrorCode.NOT_COORDINATOR))
      entry.timer?.cancel()
    }
    this.#groups = new Map()
    this.offsets = new GroupOffsets()
    this.#unsettled = undefined
    const writer = this.#writer
    this.#writer = this.#newWriter()
    writer.close(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  // ---- Loading ----

  #newWriter(): RecordWriter<GroupRecord> {
    const { io, log, settings } = this.#parts
    return new RecordWriter<GroupRecord>({
      io,
      log,
      partitionIndex: this.partitionIndex,
      codec: settings['offsets.topic.compression.codec'],
      lingerMs: settings['group.coordinator.append.linger.ms'],
      timeoutMs: settings['offsets.commit.timeout.ms'],
      encode: encodeGroupRecord,
      apply: (record, offset) => this.#apply(record, offset),
    })
  }

  #reload(): void {
    if (this.state !== 'active') return
    this.#parts.logger.warn(
      { partitionIndex: this.partitionIndex },
      'group records could not be written: loading the groups again from the log',
    )
    this.state = 'loading'
    this.#forgetAll()
    void this.#load()
  }

  async #load(): Promise<void> {
    const { io, logger, counters } = this.#parts
    const { partitionIndex } = this
    const startMs = io.monotonic.nowMs()
    let read: LoadedGroups
    try {
      read = await loadGroups(this.#parts, partitionIndex)
    } catch (error) {
      counters.loadFailures++
      const reason = error instanceof Error ? error.message : String(error)
      logger.error(
        { partitionIndex, reason },
        'groups cannot be loaded: see the reason, then restart the broker',
      )
      if (this.state === 'loading') this.state = 'failed'
      return
    }
    if (this.state !== 'loading') return
    const loadMs = Math.round(io.monotonic.nowMs() - startMs)
    const { records, unreadable } = read
    counters.partitionsLoaded++
    counters.recordsLoaded += records
    counters.latestLoadMs = loadMs
    this.#unsettled = read.unsettled
    this.#serve(read.stored, read.offsets)
    if (records === 0) return
    const groups = this.#groups.size
    logger.info({ partitionIndex, records, unreadable, groups, loadMs }, 'groups loaded')
  }

  #serve(stored: ReadonlyMap<string, GroupMetadata>, offsets: GroupOffsets): void {
    this.offsets = offsets
    this.state = 'active'
    for (const [groupId, metadata] of stored) this.#restore(groupId, metadata)
    for (const groupId of offsets.groupIds()) {
      if (!this.#groups.has(groupId)) this.#add(this.#newGroup(groupId))
    }
    const nowMs = this.nowMs()
    for (const entry of [...this.#groups.values()]) {
      this.#carryOut(entry, entry.machine.resume(nowMs))
    }
    this.#planExpiry()
  }

  #restore(groupId: string, metadata: GroupMetadata): void {
    const ids = metadata.members.map((member) => member.memberId)
    const instances = metadata.members.flatMap((member) => member.groupInstanceId ?? [])
    const isSound = new Set(ids).size === ids.length && new Set(instances).size === instances.length
    if (isSound) {
      this.#add(ClassicGroupMachine.restore(groupId, metadata, this.#groupSettings))
      return
    }
    // Clients with a certain name may write to this topic: what they write must not stop the broker.
    const { partitionIndex } = this
    this.#parts.logger.error({ partitionIndex, groupId }, 'group record repeats a member: left out')
  }

  /** Partitions that were loaded together are not all looked through in the same turn. */
  #planExpiry(): void {
    const everyMs = this.#parts.settings['offsets.retention.check.interval.ms']
    const share = (this.partitionIndex * GOLDEN_SHARE) % 1
    this.#expireIn(Math.max(1, Math.round(everyMs * (0.5 + share / 2))), everyMs)
  }

  #expireIn(delayMs: number, everyMs: number): void {
    this.#expiryTimer = this.#parts.io.timers.schedule(delayMs, () => {
      if (this.state !== 'active') return
      this.expire()
      this.#expireIn(everyMs, everyMs)
    })
  }
}

function settle<A>(waiters: Waiters<A>, requestId: number, answer: A): void {
  const resolve = waiters.get(requestId)
  waiters.delete(requestId)
  resolve?.(answer)
}
