import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Io } from '../../io/io.ts'
import { MetadataMirror } from '../metadata-mirror.ts'
import type { StoreEntry } from '../metadata-store.ts'
import {
  type ConsulKeys,
  decodeValue,
  type EntryMeta,
  encodeHead,
  type HeadValue,
  type LockValue,
  type SnapshotMeta,
} from './consul-keys.ts'
import { ConsulLog, type PlacedEntry } from './consul-log.ts'
import type { ConsulPort } from './consul-port.ts'

export type RecoveryOptions = {
  readonly io: Io
  readonly port: ConsulPort
  readonly keys: ConsulKeys
  /** Of a broker's copy of the metadata log; nobody has it open. */
  readonly folder: string
  readonly logger: Logger
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
}: RecoveryOptions): Promise<CopyComparison> {
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

/** So far above every epoch that the copy knows does the next one begin: others may have led who wrote nothing. */
const EPOCH_GAP = 1_000

/**
 * Puts the metadata log of one broker's copy in place of what is in Consul. Brokers that know less catch up from it by
 * themselves; one that knows more goes on refusing it, so the broker that knows most is the one to recover from.
 */
export async function recoverFromCopy(options: RecoveryOptions): Promise<Recovered> {
  const { io, port, keys, folder, logger } = options
  const mirror = MetadataMirror.open(io, folder, logger)
  try {
    if (mirror.lastIndex < 0) throw noCopy(folder)
    const log = new ConsulLog(io, port, keys)
    const current = await log.readHead()
    const epoch = Math.max(mirror.controllerEpoch, current.controllerEpoch) + EPOCH_GAP
    await endLeadership(port, keys)
    // What is under these keys belongs to the log that is given up.
    for (const key of [keys.log, keys.chunks, keys.snapshots]) {
      await port.transaction([{ verb: 'delete-tree', key }])
    }
    const writer = new CopyWriter(port, keys, log)
    const snapshots = await writer.writeSnapshot(mirror)
    const last = await writer.writeEntries(mirror)
    const head: HeadValue = {
      writeId: io.random.uuid(),
      index: mirror.lastIndex,
      controllerEpoch: epoch,
      digest: mirror.lastDigest,
      entry: last?.meta,
      snapshots,
    }
    const value = encodeHead(head, last?.inline)
    const { modifyIndex } = current
    const answer = await port.transaction([{ verb: 'cas', key: keys.head, value, modifyIndex }])
    if (!answer.committed) throw new LmqError('LMQ_NOT_CONTROLLER', { why: answer.why })
    return { index: head.index, controllerEpoch: epoch }
  } finally {
    await mirror.close()
  }
}

/** Whoever leads on the log that is given up must not write on. */
async function endLeadership(port: ConsulPort, keys: ConsulKeys): Promise<void> {
  const key = keys.lock('controller')
  const { pair } = await port.get(key, { consistent: true })
  if (!pair?.sessionId) return
  const { json } = decodeValue<LockValue>(key, pair.value)
  for (const sessionId of new Set([pair.sessionId, json.sessionId])) {
    await port.destroySession(sessionId)
  }
}

class CopyWriter {
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #log: ConsulLog

  constructor(port: ConsulPort, keys: ConsulKeys, log: ConsulLog) {
    this.#port = port
    this.#keys = keys
    this.#log = log
  }

  async writeSnapshot(mirror: MetadataMirror): Promise<SnapshotMeta[]> {
    const { snapshot } = mirror
    if (!snapshot) return []
    const { index, payload } = snapshot
    const digest = mirror.digestAt(index) ?? 0
    const packed = await this.#log.pack(payload)
    const controllerEpoch = mirror.controllerEpoch
    const meta = this.#log.placeSnapshot(packed, { index, controllerEpoch, digest })
    const folder = this.#keys.snapshotChunks(index, packed.id)
    for (let at = 0; at < meta.chunks; at++) await this.#log.writeChunk(folder, at, packed.stored)
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
    const { chunks } = placed.meta
    for (let at = 0; at < chunks; at++) await this.#log.writeChunk(folder, at, packed.stored)
    const { key, value } = this.#log.entryValue(placed.meta, placed.stored)
    await this.#port.transaction([{ verb: 'set', key, value }])
    return placed
  }
}
