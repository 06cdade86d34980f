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
import { loadRecords } from '../record-loader.ts'
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
import { GroupOffsets } from './group-offsets.ts'
import {
  decodeGroupRecord,
  encodeGroupRecord,
  type GroupMetadata,
  type GroupRecord,
  type OffsetRecord,
} from './group-records.ts'
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

/** Unreadable records are named one by one up to here, then only counted. */
const MAX_LOGGED_RECORDS = 10

export class GroupShard {
  readonly partitionIndex: number
  readonly leaderEpoch: number
  state: 'loading' | 'active' | 'failed' | 'closed' = 'loading'
  /** Resolves when the first load has ended, well or not. */
  readonly loaded: Promise<void>
  offsets = new GroupOffsets()
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
    const { counters, logger } = this.#parts
    const records: GroupRecord[] = []
    const dropped: Entry[] = []
    const busy = new Set<string>()
    for (const record of this.#writer.inFlight()) busy.add(record.groupId)
    for (const entry of this.#groups.values()) {
      const { machine } = entry
      if (busy.has(machine.groupId)) continue
      const offsets = this.#expiredOffsets(machine)
      records.push(...offsets)
      counters.offsetExpirations += offsets.length
      if (!this.#isDeserted(machine, offsets.length)) continue
      records.push({ kind: 'group', groupId: machine.groupId, value: null })
      dropped.push(entry)
    }
    for (const entry of dropped) this.#drop(entry)
    if (records.length === 0) return
    logger.info(
      { partitionIndex: this.partitionIndex, records: records.length, groups: dropped.length },
      'removing expired offsets and deserted groups',
    )
    void this.#writeRemoval(records)
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
    const { io, log, logger, settings, counters } = this.#parts
    const startMs = io.monotonic.nowMs()
    const { partitionIndex } = this
    const stored = new Map<string, GroupMetadata>()
    const offsets = new GroupOffsets()
    let count = 0
    let unreadable = 0
    const visit = (key: Buffer | null, value: Buffer | null, offset: number, by: number): void => {
      count++
      try {
        visitRecord(key, value, offset, by, stored, offsets)
      } catch (error) {
        if (++unreadable > MAX_LOGGED_RECORDS) return
        const reason = error instanceof Error ? error.message : String(error)
        logger.error({ partitionIndex, offset, reason }, 'group record cannot be read: left out')
      }
    }
    try {
      await loadRecords(io, log, partitionIndex, settings['offsets.load.buffer.size'], {
        record: visit,
        endTransaction: (producerId, isCommit) => offsets.endTransaction(producerId, isCommit),
      })
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
    counters.partitionsLoaded++
    counters.recordsLoaded += count
    counters.latestLoadMs = loadMs
    this.#serve(stored, offsets)
    if (count === 0) return
    logger.info(
      { partitionIndex, records: count, unreadable, groups: this.#groups.size, loadMs },
      'groups loaded',
    )
  }

  #serve(stored: ReadonlyMap<string, GroupMetadata>, offsets: GroupOffsets): void {
    this.offsets = offsets
    this.state = 'active'
    for (const [groupId, metadata] of stored) {
      this.#add(ClassicGroupMachine.restore(groupId, metadata, this.#groupSettings))
    }
    for (const groupId of offsets.groupIds()) {
      if (!this.#groups.has(groupId)) this.#add(this.#newGroup(groupId))
    }
    const nowMs = this.nowMs()
    for (const entry of [...this.#groups.values()]) {
      this.#carryOut(entry, entry.machine.resume(nowMs))
    }
    this.#planExpiry()
  }

  #planExpiry(): void {
    const { io, settings } = this.#parts
    this.#expiryTimer = io.timers.schedule(settings['offsets.retention.check.interval.ms'], () => {
      if (this.state !== 'active') return
      this.expire()
      this.#planExpiry()
    })
  }
}

/** The last metadata record of a group is the group; offsets are applied one after the other. */
function visitRecord(
  key: Buffer | null,
  value: Buffer | null,
  offset: number,
  producerId: number,
  stored: Map<string, GroupMetadata>,
  offsets: GroupOffsets,
): void {
  if (key === null) return
  const record = decodeGroupRecord(key, value)
  if (record.kind === 'offset') {
    offsets.apply(record, offset, producerId)
  } else if (record.kind === 'group') {
    // The bytes in it are views of the whole piece that was read: a copy lets that go.
    if (record.value && value) stored.set(record.groupId, copied(record.value))
    else stored.delete(record.groupId)
  }
}

function copied(metadata: GroupMetadata): GroupMetadata {
  return {
    ...metadata,
    members: metadata.members.map((member) => ({
      ...member,
      subscription: Buffer.from(member.subscription),
      assignment: Buffer.from(member.assignment),
    })),
  }
}

function settle<A>(waiters: Waiters<A>, requestId: number, answer: A): void {
  const resolve = waiters.get(requestId)
  waiters.delete(requestId)
  resolve?.(answer)
}
