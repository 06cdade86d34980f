import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Io } from '../../io/io.ts'
import { LockLeadership } from '../lock.ts'
import { type MetadataMirror, openMirror } from '../metadata-mirror.ts'
import type {
  BrokerFacts,
  Candidate,
  Leadership,
  Membership,
  MetadataStore,
  StoreHead,
  StoreMember,
  StoreRead,
  StoreSnapshot,
  Watch,
} from '../metadata-store.ts'
import { ConsulAnnouncement } from './consul-announcement.ts'
import { ConsulCleaner } from './consul-cleaner.ts'
import { ConsulFollower } from './consul-follower.ts'
import { CONTROLLER_LOCK, ConsulKeys, encodeHead, type Head } from './consul-keys.ts'
import { type ConsulHold, ConsulLocks } from './consul-locks.ts'
import { ConsulLog } from './consul-log.ts'
import { ConsulMembers } from './consul-members.ts'
import { ConsulFailure, type ConsulPair, type ConsulPort } from './consul-port.ts'
import { ConsulWatch } from './consul-watch.ts'
import { HeadWriter } from './head-writer.ts'
import { Pauses } from './pauses.ts'
import { retrying, storeCall, storeError } from './store-call.ts'

export type ConsulStoreOptions = {
  readonly io: Io
  /** Belongs to the store from now on, which closes it. */
  readonly port: ConsulPort
  /** In front of all keys. */
  readonly prefix: string
  readonly clusterId: string
  /** For this broker's copy of the log; undefined: in memory only. */
  readonly folder: string | undefined
  readonly logger: Logger
  readonly sessionTtlMs: number
  /** How long the start waits for a Consul that does not answer. */
  readonly startTimeoutMs: number
  /** How long a query waits for news; default 3 s. */
  readonly watchWaitMs?: number
  /** How long readers have to finish with what a snapshot replaced; default 30 s. */
  readonly cleanupDelayMs?: number
  /** Default `lmq`. */
  readonly serviceName?: string
}

/** What the leader knows of the log that it alone writes. */
type Lead = { readonly leadership: Leadership; readonly hold: ConsulHold; head: Head }

/** Attempts to read what is new, before it is told that Consul does not answer. */
const READ_ATTEMPTS = 5
/** Attempts to read what a candidate must know: it is one call of several. */
const LEAD_ATTEMPTS = 3
const WATCH_WAIT_MS = 3_000
const CLEANUP_DELAY_MS = 30_000
const DIAL_TIMEOUT_MS = 500
/** Appends under way have this long to end when the store closes. */
const CLOSE_GRACE_MS = 2_000

/**
 * The metadata log in Consul's key-value store: `consul-keys.ts` says what lies where. Safety rests on one thing: every
 * change of the head is one transaction that checks that the writer's session holds the controller's lock *and* that the
 * head is the one it knows. Time, sessions and what a broker believes only decide when somebody tries.
 *
 * Each broker keeps a copy of the log (`MetadataMirror`): readers are served from it, also while Consul is away, and it
 * tells a Consul that lost its memory from one that is right (`ConsulFollower`).
 */
export class ConsulMetadataStore implements MetadataStore {
  readonly locks: ConsulLocks
  readonly #io: Io
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #logger: Logger
  readonly #pauses: Pauses
  readonly #mirror: MetadataMirror
  readonly #log: ConsulLog
  readonly #follower: ConsulFollower
  readonly #writer: HeadWriter
  readonly #cleaner: ConsulCleaner
  readonly #members: ConsulMembers
  readonly #announcement: ConsulAnnouncement
  readonly #watches: readonly ConsulWatch[]
  readonly #watchers = new Set<() => void>()
  #lead: Lead | undefined
  /** Writings of the head, one after the other; never rejects. */
  #work: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  private constructor(options: ConsulStoreOptions, mirror: MetadataMirror) {
    const { io, port, prefix, clusterId, logger, sessionTtlMs } = options
    const keys = new ConsulKeys(prefix, clusterId)
    this.#io = io
    this.#port = port
    this.#keys = keys
    this.#logger = logger
    this.#pauses = new Pauses(io, true)
    this.#mirror = mirror
    this.#log = new ConsulLog(io, port, keys)
    this.locks = new ConsulLocks({ io, port, keys, sessionTtlMs, logger })
    this.#follower = new ConsulFollower({
      log: this.#log,
      mirror,
      logger,
      onNews: () => this.#tellWatchers(),
      onDiverged: () => this.#loseLead(),
    })
    this.#writer = new HeadWriter(port, keys, this.#log, this.#pauses, logger)
    this.#cleaner = new ConsulCleaner(io, port, keys, options.cleanupDelayMs ?? CLEANUP_DELAY_MS)
    const hold = () => this.#lead?.hold
    this.#members = new ConsulMembers({ io, port, keys, pauses: this.#pauses, hold })
    const serviceName = options.serviceName ?? 'lmq'
    this.#announcement = new ConsulAnnouncement({ io, port, clusterId, serviceName, logger })
    const waitMs = options.watchWaitMs ?? WATCH_WAIT_MS
    this.#watches = [
      this.#watchOf(keys.head, waitMs, (pair) => this.#onHead(pair)),
      this.#watchOf(keys.lock(CONTROLLER_LOCK), waitMs, async (pair) => this.#onLock(pair)),
    ]
  }

  /**
   * Reads the log as far as it goes.
   *
   * @throws LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED when Consul does not answer or refuses the token;
   *   LMQ_STORE_DIVERGED when this broker's copy knows more than Consul; LMQ_STORE_CORRUPT, LMQ_DISK_READ
   */
  static async open(options: ConsulStoreOptions): Promise<ConsulMetadataStore> {
    const mirror = openMirror(options.io, options.folder, options.logger)
    const store = new ConsulMetadataStore(options, mirror)
    try {
      await store.#start(options.startTimeoutMs)
    } catch (error) {
      await store.close()
      throw error
    }
    return store
  }

  async head(): Promise<StoreHead> {
    this.#checkOpen()
    const [head, lock] = await Promise.all([this.#current(), this.locks.look(CONTROLLER_LOCK)])
    return {
      index: head.index,
      controllerEpoch: Math.max(head.controllerEpoch, lock.epoch),
      controllerId: lock.holder?.brokerId ?? -1,
    }
  }

  async lead(candidate: Candidate): Promise<Leadership | undefined> {
    this.#checkOpen()
    const from = await retrying(this.#pauses, LEAD_ATTEMPTS, () => this.#follower.follow())
    this.#checkTrue()
    const writeId = this.#io.random.uuid()
    let head = from
    const hold = await this.locks.win(
      CONTROLLER_LOCK,
      candidate,
      this.#follower.seenEpoch,
      (epoch) => {
        head = { ...from, writeId, controllerEpoch: epoch }
        const value = encodeHead(head, from.inline)
        return [{ verb: 'cas', key: this.#keys.head, value, modifyIndex: from.modifyIndex }]
      },
    )
    if (!hold) return undefined
    const modifyIndex = hold.modifyIndexes.get(this.#keys.head) ?? 0
    const leadership = new LockLeadership(hold)
    const lead: Lead = { leadership, hold, head: { ...head, modifyIndex } }
    this.#lead = lead
    hold.onLost(() => {
      if (this.#lead === lead) this.#lead = undefined
      this.#tellWatchers()
    })
    await this.#follower.follow(lead.head).catch(() => {})
    this.#tellWatchers()
    return hold.held ? leadership : undefined
  }

  async depose(controllerEpoch: number): Promise<void> {
    this.#checkOpen()
    await this.locks.depose(CONTROLLER_LOCK, controllerEpoch)
    this.#tellWatchers()
  }

  append(
    leadership: Leadership,
    afterIndex: number,
    payload: Buffer,
    isWanted: () => boolean = () => true,
  ): Promise<number> {
    return this.#inTurn(async () => {
      const lead = this.#checkLeads(leadership)
      const { head: from, hold } = lead
      if (afterIndex !== from.index) {
        throw new LmqError('LMQ_NOT_CONTROLLER', { afterIndex, lastIndex: from.index })
      }
      const index = afterIndex + 1
      const { controllerEpoch } = leadership
      const packed = await this.#log.pack(payload)
      const { meta, stored, inline } = this.#log.placeEntry(packed, {
        index,
        controllerEpoch,
        previousDigest: from.digest,
        digest: this.#mirror.digestOf({ index, controllerEpoch, payload }),
      })
      const folder = this.#keys.entryChunks(index, packed.id)
      await this.#writeChunks(lead, folder, packed.stored, meta.chunks)
      const { digest } = meta
      const { value, key } = this.#log.entryValue(meta, stored)
      const written = await this.#writer.write({
        hold,
        from,
        next: { ...from, writeId: packed.id, index, controllerEpoch, digest, entry: meta },
        inline,
        also: [{ verb: 'set', key, value }],
        landed: (head) => this.#log.hasEntry(meta, head),
        isWanted,
      })
      if (written) {
        lead.head = written
        this.#follower.take(written, payload)
      }
      return index
    })
  }

  async read(fromIndex: number, maxBytes: number): Promise<StoreRead> {
    // Who watches is told of everything newer; and must be served while Consul is away.
    if (this.#watchers.size === 0 && !this.#closing) {
      await retrying(this.#pauses, READ_ATTEMPTS, () => this.#follower.follow())
    }
    return this.#mirror.read(fromIndex, maxBytes)
  }

  watch(listener: () => void): Watch {
    const watcher = () => listener()
    this.#watchers.add(watcher)
    return { stop: () => this.#watchers.delete(watcher) }
  }

  async bytesSinceSnapshot(): Promise<number> {
    return this.#mirror.entryBytes
  }

  writeSnapshot(leadership: Leadership, { index, payload }: StoreSnapshot): Promise<void> {
    return this.#inTurn(async () => {
      const lead = this.#checkLeads(leadership)
      const { head: from, hold } = lead
      const former = from.snapshots.at(-1)
      if (index > from.index || index <= (former?.index ?? -1)) return
      const digest = this.#mirror.digestAt(index)
      if (digest === undefined) return
      const { controllerEpoch } = leadership
      const packed = await this.#log.pack(payload)
      const meta = this.#log.placeSnapshot(packed, { index, controllerEpoch, digest })
      const folder = this.#keys.snapshotChunks(index, packed.id)
      await this.#writeChunks(lead, folder, packed.stored, meta.chunks)
      const snapshots = former ? [former, meta] : [meta]
      const written = await this.#writer.write({
        hold,
        from,
        next: { ...from, writeId: packed.id, snapshots },
        inline: from.inline,
        also: [],
        landed: async (head) => head.snapshots.some(({ id }) => id === meta.id),
      })
      if (!written) return
      lead.head = written
      this.#follower.takeSnapshot(meta, payload)
      this.#cleaner.plan(hold, () => lead.head)
    })
  }

  /**
   * A former run of this broker that still holds the lead is gone: nobody has to wait until its session ends. Unless it
   * answers elsewhere: then somebody gave two brokers one id.
   *
   * @throws LMQ_BROKER_REFUSED
   */
  async join(member: StoreMember): Promise<Membership> {
    this.#checkOpen()
    const { brokerId, incarnationId, address } = member
    const { holder, epoch } = await this.locks.look(CONTROLLER_LOCK)
    const isFormer = holder?.brokerId === brokerId && holder.incarnationId !== incarnationId
    if (isFormer) {
      const other = (await this.#members.all()).find((each) => each.brokerId === brokerId)
      const isKnown = other?.incarnationId === holder.incarnationId && other.address !== address
      if (isKnown && (await this.#answers(other.address))) {
        const reason = `a broker with this node.id runs at ${other.address}`
        throw new LmqError('LMQ_BROKER_REFUSED', { brokerId, reason })
      }
    }
    const membership = await this.#members.join(member)
    if (isFormer) await this.depose(epoch)
    return membership
  }

  /** Whether somebody listens there. */
  async #answers(address: string): Promise<boolean> {
    const colon = address.lastIndexOf(':')
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
    try {
      const there = { host, port: Number(address.slice(colon + 1)) }
      const socket = await this.#io.net.connect(there, DIAL_TIMEOUT_MS)
      socket.destroy()
      return true
    } catch {
      return false
    }
  }

  async members(): Promise<readonly StoreMember[]> {
    this.#checkOpen()
    return this.#members.all()
  }

  announce(facts: BrokerFacts): void {
    if (!this.#closing) this.#announcement.announce(facts)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const watch of this.#watches) watch.stop()
    this.#cleaner.close()
    await Promise.race([this.#work, this.#pauses.wait(CLOSE_GRACE_MS)])
    this.#pauses.stop()
    await this.#work
    await Promise.all([this.#announcement.close(), this.#members.close(), this.locks.close()])
    this.#watchers.clear()
    await this.#port.close()
    await Promise.all(this.#watches.map((watch) => watch.ended()))
    await this.#mirror.close()
  }

  async #start(timeoutMs: number): Promise<void> {
    const giveUpMs = this.#io.monotonic.nowMs() + timeoutMs
    let head: Head
    for (let failures = 0; ; ) {
      try {
        head = await this.#follower.follow()
        break
      } catch (error) {
        const isFinal = !(error instanceof ConsulFailure) || error.kind === 'invalid'
        if (isFinal || this.#io.monotonic.nowMs() >= giveUpMs) throw storeError(error)
        if (++failures === 3) {
          this.#logger.warn({ error: error.message }, 'waiting for Consul to answer')
        }
        await this.#pauses.afterFailure(failures)
      }
    }
    this.#checkTrue()
    for (const watch of this.#watches)
      watch.start(watch === this.#watches[0] ? head.modifyIndex : 0)
  }

  /** The head as of now, of which this broker has every entry. */
  async #current(): Promise<Head> {
    const head = await this.#follow()
    this.#checkTrue()
    return head
  }

  #follow(): Promise<Head> {
    return storeCall(this.#follower.follow())
  }

  async #onHead(pair: ConsulPair | undefined): Promise<void> {
    await this.#follower.follow(this.#log.headOf(pair))
  }

  #onLock(pair: ConsulPair | undefined): void {
    this.locks.notice(CONTROLLER_LOCK, pair)
    this.#tellWatchers()
  }

  #watchOf(
    key: string,
    waitMs: number,
    onChange: (pair: ConsulPair | undefined) => Promise<void>,
  ): ConsulWatch {
    return new ConsulWatch({
      io: this.#io,
      port: this.#port,
      key,
      waitMs,
      onChange,
      onFailure: (error, failures) => {
        if (failures !== 2) return
        this.#logger.warn(
          { key, error: String(error) },
          'Consul does not answer: serving goes on, changes of metadata wait',
        )
      },
      onRecovered: () => {
        this.locks.renew()
        this.#members.refresh()
      },
    })
  }

  /** Chunks are named by nobody before the head is written, so repeating one does no harm. */
  async #writeChunks(lead: Lead, folder: string, stored: Buffer, count: number): Promise<void> {
    for (let at = 0; at < count; at++) {
      await retrying(this.#pauses, Number.POSITIVE_INFINITY, () => {
        this.#checkLeads(lead.leadership)
        return this.#log.writeChunk(folder, at, stored)
      })
    }
  }

  /** One after the other; whatever fails for another reason than the fence costs the lead. */
  #inTurn<Answer>(task: () => Promise<Answer>): Promise<Answer> {
    const done = this.#work.then(async () => {
      try {
        return await task()
      } catch (error) {
        if (!(error instanceof LmqError) || error.code !== 'LMQ_NOT_CONTROLLER') this.#loseLead()
        throw error
      }
    })
    this.#work = done.catch(() => {})
    return done
  }

  #loseLead(): void {
    this.#lead?.hold.lose()
  }

  #checkLeads(leadership: Leadership): Lead {
    const lead = this.#lead
    if (lead && lead.leadership === leadership && lead.hold.held) return lead
    throw new LmqError('LMQ_NOT_CONTROLLER', { controllerEpoch: leadership.controllerEpoch })
  }

  #checkTrue(): void {
    const why = this.#follower.diverged
    if (why !== undefined) throw new LmqError('LMQ_STORE_DIVERGED', { why })
  }

  #checkOpen(): void {
    if (this.#closing) throw new LmqError('LMQ_SHUTTING_DOWN', { store: 'metadata' })
  }

  #tellWatchers(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}
