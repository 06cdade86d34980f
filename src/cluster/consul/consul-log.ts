import { LmqError } from '../../base/errors.ts'
import { Codec, type Io } from '../../io/io.ts'
import { maxFrameBytes } from '../metadata-frame.ts'
import {
  ConsulKeys,
  decodeHead,
  decodeValue,
  type EntryMeta,
  emptyHead,
  encodeValue,
  type Head,
  type PackedMeta,
  type SnapshotMeta,
} from './consul-keys.ts'
import type { ConsulOperation, ConsulPair, ConsulPort } from './consul-port.ts'

/** An entry up to this size rides in the head, too, and saves its readers a round trip. */
const INLINE_BYTES = 16 * 1024
/** Up to this size an entry is one value; a larger one is cut into chunks of it. Base64 makes a third more of them. */
const CHUNK_BYTES = 256 * 1024
/** A payload below this size is stored as it is. */
const COMPRESS_FROM_BYTES = 512
/** So many missing entries of one bucket are read one by one; for more the bucket is listed. */
const SINGLE_READS = 4

/** A payload in the form in which it is stored. */
export type Packed = Omit<PackedMeta, 'chunks'> & { readonly stored: Buffer }

export type StoredEntry = { readonly meta: EntryMeta; readonly payload: Buffer }

export type PlacedEntry = {
  readonly meta: EntryMeta
  /** For the entry's own key. */
  readonly stored: Buffer | undefined
  /** For the head. */
  readonly inline: Buffer | undefined
}

/** Payloads of the metadata log in Consul's values: packed, cut and put together again. Decides nothing. */
export class ConsulLog {
  readonly #io: Io
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys

  constructor(io: Io, port: ConsulPort, keys: ConsulKeys) {
    this.#io = io
    this.#port = port
    this.#keys = keys
  }

  /** As of now, asked of a leader that proved to be one. */
  async readHead(): Promise<Head> {
    const { pair } = await this.#port.get(this.#keys.head, { consistent: true })
    return this.headOf(pair)
  }

  /** @throws LMQ_STORE_CORRUPT */
  headOf(pair: ConsulPair | undefined): Head {
    return pair ? decodeHead(this.#keys.head, pair.value, pair.modifyIndex) : emptyHead
  }

  async pack(payload: Buffer): Promise<Packed> {
    const { codecs, random } = this.#io
    const small = payload.length < COMPRESS_FROM_BYTES
    const pressed = small ? payload : await codecs.compress(Codec.gzip, payload)
    const saves = pressed.length < payload.length
    const stored = saves ? pressed : payload
    return {
      id: random.uuid(),
      codec: saves ? Codec.gzip : Codec.none,
      sizeBytes: payload.length,
      storedBytes: stored.length,
      storedCrc: this.#io.crc32c(stored, 0, stored.length),
      stored,
    }
  }

  /**
   * Says where the bytes of an entry go. Those of a large one go into chunks first: `writeChunks`.
   *
   * @param place the rest of what is known of the entry
   */
  placeEntry(
    packed: Packed,
    place: Pick<EntryMeta, 'index' | 'controllerEpoch' | 'previousDigest' | 'digest'>,
  ): PlacedEntry {
    const { stored, ...rest } = packed
    const chunks = stored.length <= CHUNK_BYTES ? 0 : chunkCount(stored)
    const meta = { ...place, ...rest, chunks }
    return {
      meta,
      stored: chunks === 0 ? stored : undefined,
      inline: stored.length <= INLINE_BYTES ? stored : undefined,
    }
  }

  placeSnapshot(
    packed: Packed,
    place: Pick<SnapshotMeta, 'index' | 'controllerEpoch' | 'digest'>,
  ): SnapshotMeta {
    const { stored, ...rest } = packed
    return { ...place, ...rest, chunks: Math.max(1, chunkCount(stored)) }
  }

  /** One value after the other, under keys that nobody reads before the head names them: repeating it does no harm. */
  async writeChunk(folder: string, at: number, stored: Buffer): Promise<void> {
    await this.#port.transaction([this.chunkWriting(folder, at, stored)])
  }

  chunkWriting(folder: string, at: number, stored: Buffer): ConsulOperation {
    const value = stored.subarray(at * CHUNK_BYTES, (at + 1) * CHUNK_BYTES)
    return { verb: 'set', key: this.#keys.chunk(folder, at), value }
  }

  /**
   * Entries of one bucket.
   *
   * @param to inclusive, in the same bucket
   * @returns those that are there, in order, up to the first that is missing
   */
  async readEntries(from: number, to: number): Promise<StoredEntry[]> {
    const pairs =
      to - from < SINGLE_READS ? await this.#readSingly(from, to) : await this.#readBucket(from, to)
    const found: StoredEntry[] = []
    for (const pair of pairs) {
      const { json: meta, bytes } = decodeValue<EntryMeta>(pair.key, pair.value)
      if (meta.index !== from + found.length) break
      const payload = await this.readEntry(meta, bytes)
      if (!payload) break
      found.push({ meta, payload })
    }
    return found
  }

  /** @param bytes what lies with the meta; chunks are fetched. @returns undefined when a chunk is gone */
  async readEntry(meta: EntryMeta, bytes: Buffer): Promise<Buffer | undefined> {
    if (meta.chunks === 0) return this.#unpack(meta, bytes)
    return this.#readChunks(meta, this.#keys.entryChunks(meta.index, meta.id))
  }

  /** @param stored the bytes, when they are not in chunks */
  entryValue(meta: EntryMeta, stored: Buffer | undefined): { key: string; value: Buffer } {
    return { key: this.#keys.entry(meta.index), value: encodeValue(meta, stored) }
  }

  /** Whether this very entry is part of the log that the head ends. */
  async hasEntry({ index, id }: EntryMeta, head: Head): Promise<boolean> {
    if (head.index < index) return false
    if (head.entry?.index === index) return head.entry.id === id
    const key = this.#keys.entry(index)
    const { pair } = await this.#port.get(key, { consistent: true })
    return pair !== undefined && decodeValue<EntryMeta>(key, pair.value).json.id === id
  }

  /** @returns undefined when it is gone */
  readSnapshot(meta: SnapshotMeta): Promise<Buffer | undefined> {
    return this.#readChunks(meta, this.#keys.snapshotChunks(meta.index, meta.id))
  }

  async #readSingly(from: number, to: number): Promise<ConsulPair[]> {
    const pairs: ConsulPair[] = []
    for (let index = from; index <= to; index++) {
      const { pair } = await this.#port.get(this.#keys.entry(index), { consistent: true })
      if (!pair) break
      pairs.push(pair)
    }
    return pairs
  }

  async #readBucket(from: number, to: number): Promise<ConsulPair[]> {
    const first = this.#keys.entry(from)
    const last = this.#keys.entry(to)
    const all = await this.#port.list(this.#keys.bucket(ConsulKeys.bucketOf(from)))
    return all.filter(({ key }) => key >= first && key <= last)
  }

  async #readChunks(meta: PackedMeta, folder: string): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    for (let at = 0; at < meta.chunks; at++) {
      const { pair } = await this.#port.get(this.#keys.chunk(folder, at), { consistent: true })
      if (!pair) return undefined
      parts.push(pair.value)
    }
    return this.#unpack(meta, Buffer.concat(parts))
  }

  /** @throws LMQ_STORE_CORRUPT */
  async #unpack(meta: PackedMeta, stored: Buffer): Promise<Buffer> {
    const { id, codec, sizeBytes, storedBytes, storedCrc } = meta
    const whole =
      stored.length === storedBytes && this.#io.crc32c(stored, 0, stored.length) === storedCrc
    if (!whole || sizeBytes > maxFrameBytes) {
      throw new LmqError('LMQ_STORE_CORRUPT', { id, storedBytes: stored.length })
    }
    // A copy: what was read with it is not to be kept with it.
    if (codec === Codec.none) return Buffer.from(stored)
    const payload = await this.#io.codecs.decompress(codec, stored, sizeBytes)
    if (payload.length === sizeBytes) return payload
    throw new LmqError('LMQ_STORE_CORRUPT', { id, sizeBytes: payload.length })
  }
}

const chunkCount = (stored: Buffer): number => Math.ceil(stored.length / CHUNK_BYTES)
