import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Io } from '../../io/io.ts'
import { MetadataMirror } from '../metadata-mirror.ts'
import type { StoreEntry } from '../metadata-store.ts'
import {
  CONTROLLER_LOCK,
  type ConsulKeys,
  decodeValue,
  type EntryMeta,
  type HeadValue,
  type LockValue,
  type SnapshotMeta,
} from './consul-keys.ts'
import { type ConsulHold, ConsulLocks, fence } from './consul-locks.ts'
import { ConsulLog, type PlacedEntry } from './consul-log.ts'
import type { ConsulOperation, ConsulPort } from './consul-port.ts'
import { HeadWriter } from './head-writer.ts'
import { Pauses } from './pauses.ts'
import { retrying } from './store-call.ts'

export type RecoveryOptions = {
  readonly io: Io
  readonly port: ConsulPort
  readonly keys: ConsulKeys
  /** Of a broker's copy of the metadata log; nobody has it open. */
  readonly folder: string
  readonly logger: Logger
  /** Of the lock that a recovery takes: if it dies, brokers can lead after twice this time. */
  readonly sessionTtlMs: number
}

export type Recovered = {
  /** Of the last entry that is in Consul now. */
  readonly index: number
  readonly controllerEpoch: number
}

/** How far the two know: index and leader epoch of the last entry; -1 and 0 where there is none. */
export type CopyComparison = {
  readonly copy: { readonly index: number; readonly controllerEpoch: number }
  readonly consul: { readonly index: number; readonly controllerEpoch: number }
  /**
   * - `same`: nothing is to be done.
   * - `behind`: Consul has what the copy has, and more.
   * - `ahead`: the copy has what Consul has, and more.
   * - `apart`: each has something that the other has not, or it cannot be told.
   */
  readonly copyIs: 'same' | 'behind' | 'ahead' | 'apart'
}

/** Changes nothing. @throws LMQ_STORE_CORRUPT when there is no copy */
export async function compareCopy({
  io,
  port,
  keys,
  folder,
  logger,
}: Omit<RecoveryOptions, 'sessionTtlMs'>): Promise<CopyComparison> {
  const mirror = MetadataMirror.open(io, folder, logger)
  try {
    if (mirror.lastIndex < 0) throw noCopy(folder)
    const log = new ConsulLog(io, port, keys)
    const head = await log.readHead()
    const copy = { index: mirror.lastIndex, controllerEpoch: mirror.controllerEpoch }
    const consul = { index: head.index, controllerEpoch: head.controllerEpoch }
    if (head.index <= mirror.lastIndex) {
      const known = head.index < 0 ? 0 : mirror.digestAt(head.index)
      if (known !== head.digest) return { copy, consul, copyIs: 'apart' }
      return { copy, consul, copyIs: head.index === mirror.lastIndex ? 'same' : 'ahead' }
    }
    const entries = await log.readEntries(mirror.lastIndex, mirror.lastIndex)
    const isSame = entries[0]?.meta.digest === mirror.lastDigest
    return { copy, consul, copyIs: isSame ? 'behind' : 'apart' }
  } finally {
    await mirror.close()
  }
}

const noCopy = (folder: string): LmqError =>
  new LmqError('LMQ_STORE_CORRUPT', { folder, why: 'there is no copy of the log' })

/** The lock's holder is no broker: others see that nobody leads. */
const NOBODY = -1
/** So far above every epoch that the copy knows does the next one begin: others may have led who wrote nothing. */
const EPOCH_GAP = 1_000

/** Tries to become the only one who writes. Whoever has just lost the lead may have it again at once. */
const LOCK_ATTEMPTS = 20
const ATTEMPTS = 10
const LONGEST_PAUSE_MS = 500

/**
 * Puts the metadata log of one broker's copy in place of what is in Consul. Brokers that know less catch up from it by
 * themselves; one that knows more goes on refusing it, so the broker that knows most is the one to recover from.
 *
 * It takes the controller's lock, and every transaction checks that it has it still: no broker leads on the log that is
 * given up, and of two recoveries at once the earlier one ends without another change.
 *
 * @throws LMQ_STORE_CORRUPT when there is no copy; LMQ_LOCK_LOST, LMQ_NOT_CONTROLLER when another recovery came in between;
 *   LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED, LMQ_STORE_REFUSED
 */
export async function recoverFromCopy(options: RecoveryOptions): Promise<Recovered> {
  const { io, port, keys, folder, logger, sessionTtlMs } = options
  const mirror = MetadataMirror.open(io, folder, logger)
  const locks = new ConsulLocks({ io, port, keys, sessionTtlMs, logger })
  const pauses = new Pauses(io, true)
  try {
    if (mirror.lastIndex < 0) throw noCopy(folder)
    const log = new ConsulLog(io, port, keys)
    const hold = await takeLead({ io, port, keys, locks, pauses, log, mirror })
    const from = await retrying(pauses, ATTEMPTS, () => log.readHead())
    const writer = new CopyWriter({ port, keys, log, pauses, hold })
    // What is under these keys belongs to the log that is given up.
    for (const key of [keys.log, keys.chunks, keys.snapshots]) {
      await writer.write({ verb: 'delete-tree', key })
    }
    const snapshots = await writer.writeSnapshot(mirror)
    const last = await writer.writeEntries(mirror)
    const next: HeadValue = {
      writeId: io.random.uuid(),
      index: mirror.lastIndex,
      controllerEpoch: hold.epoch,
      digest: mirror.lastDigest,
      entry: last?.meta,
      snapshots,
    }
    const landed = async () => false
    await new HeadWriter(port, keys, log, pauses, logger).write({
      ...{ hold, from, next, inline: last?.inline, also: [], landed },
    })
    return { index: next.index, controllerEpoch: next.controllerEpoch }
  } finally {
    await locks.close()
    pauses.stop()
    await mirror.close()
  }
}

type Lead = {
  readonly io: Io
  readonly port: ConsulPort
  readonly keys: ConsulKeys
  readonly locks: ConsulLocks
  readonly pauses: Pauses
  readonly log: ConsulLog
  readonly mirror: MetadataMirror
}

/** Whoever leads on the log that is given up must not write on. @throws LMQ_LOCK_LOST */
async function takeLead({ io, port, keys, locks, pauses, log, mirror }: Lead): Promise<ConsulHold> {
  const candidate = { brokerId: NOBODY, incarnationId: io.random.uuid() }
  for (let failures = 0; failures < LOCK_ATTEMPTS; ) {
    const { controllerEpoch } = await retrying(pauses, ATTEMPTS, () => log.readHead())
    const afterEpoch = Math.max(mirror.controllerEpoch, controllerEpoch) + EPOCH_GAP - 1
    await retrying(pauses, ATTEMPTS, () => endLeadership(port, keys))
    try {
      const hold = await locks.win(CONTROLLER_LOCK, candidate, afterEpoch)
      if (hold) return hold
    } catch (error) {
      // Whether it was won or not, it is ended by the next attempt.
      if (!(error instanceof LmqError) || error.code !== 'LMQ_STORE_UNREACHABLE') throw error
    }
    await pauses.afterFailure(++failures, LONGEST_PAUSE_MS)
  }
  throw new LmqError('LMQ_LOCK_LOST', { lock: CONTROLLER_LOCK })
}

async function endLeadership(port: ConsulPort, keys: ConsulKeys): Promise<void> {
  const key = keys.lock(CONTROLLER_LOCK)
  const { pair } = await port.get(key, { consistent: true })
  if (!pair?.sessionId) return
  const { json } = decodeValue<LockValue>(key, pair.value)
  for (const sessionId of new Set([pair.sessionId, json.sessionId])) {
    await port.destroySession(sessionId)
  }
}

type CopyWriterOptions = Pick<Lead, 'port' | 'keys' | 'log' | 'pauses'> & {
  readonly hold: ConsulHold
}

/** Writes what the head does not name yet. Each writing may be repeated. */
class CopyWriter {
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #log: ConsulLog
  readonly #pauses: Pauses
  readonly #hold: ConsulHold

  constructor({ port, keys, log, pauses, hold }: CopyWriterOptions) {
    this.#port = port
    this.#keys = keys
    this.#log = log
    this.#pauses = pauses
    this.#hold = hold
  }

  /** @throws LMQ_LOCK_LOST */
  async write(operation: ConsulOperation): Promise<void> {
    const hold = this.#hold
    const operations = [fence(this.#keys, hold), operation]
    const answer = await retrying(
      this.#pauses,
      ATTEMPTS,
      () => this.#port.transaction(operations),
      LONGEST_PAUSE_MS,
    )
    if (answer.committed) return
    throw new LmqError('LMQ_LOCK_LOST', { lock: hold.name, epoch: hold.epoch, why: answer.why })
  }

  async writeSnapshot(mirror: MetadataMirror): Promise<SnapshotMeta[]> {
    const { snapshot } = mirror
    if (!snapshot) return []
    const { index, payload } = snapshot
    const digest = mirror.digestAt(index) ?? 0
    const packed = await this.#log.pack(payload)
    const controllerEpoch = mirror.controllerEpoch
    const meta = this.#log.placeSnapshot(packed, { index, controllerEpoch, digest })
    await this.#writeChunks(this.#keys.snapshotChunks(index, packed.id), packed.stored, meta.chunks)
    return [meta]
  }

  /** @returns the last one */
  async writeEntries(mirror: MetadataMirror): Promise<PlacedEntry | undefined> {
    let last: PlacedEntry | undefined
    for (const entry of mirror.entries) last = await this.#writeEntry(mirror, entry)
    return last
  }

  async #writeEntry(mirror: MetadataMirror, entry: StoreEntry): Promise<PlacedEntry> {
    const { index, controllerEpoch, payload } = entry
    const packed = await this.#log.pack(payload)
    const place: Pick<EntryMeta, 'index' | 'controllerEpoch' | 'previousDigest' | 'digest'> = {
      index,
      controllerEpoch,
      previousDigest: mirror.digestAt(index - 1) ?? 0,
      digest: mirror.digestAt(index) ?? 0,
    }
    const placed = this.#log.placeEntry(packed, place)
    const folder = this.#keys.entryChunks(index, packed.id)
    await this.#writeChunks(folder, packed.stored, placed.meta.chunks)
    const { key, value } = this.#log.entryValue(placed.meta, placed.stored)
    await this.write({ verb: 'set', key, value })
    return placed
  }

  async #writeChunks(folder: string, stored: Buffer, count: number): Promise<void> {
    for (let at = 0; at < count; at++) await this.write(this.#log.chunkWriting(folder, at, stored))
  }
}
