/**
 * What the cluster keeps in Consul's key-value store: names of keys and form of values. A value is one line of JSON, for
 * people and programs to read, and behind it, where there are any, raw bytes.
 *
 *     lmq/<cluster id>/head                         the last entry, who leads, which snapshots there are
 *     lmq/<cluster id>/log/<bucket>/<index>         one entry; a bucket has 64 of them, so that no listing is long
 *     lmq/<cluster id>/chunks/<bucket>/<id>/<n>     parts of an entry that is too large for one value
 *     lmq/<cluster id>/snapshots/<index>-<id>/<n>   parts of a snapshot
 *     lmq/<cluster id>/locks/<name>                 a lock: who has it, since which epoch, what was written under it
 *     lmq/<cluster id>/members/<broker id>          a broker that runs
 *     lmq/default                                   the cluster id that brokers without one agree on
 */
import { LmqError } from '../../base/errors.ts'
import type { CodecId } from '../../io/io.ts'

export const entriesPerBucket = 64

/** The lock of whoever may change the metadata log. */
export const CONTROLLER_LOCK = 'controller'

const digits = (value: number, length: number) => String(value).padStart(length, '0')

export class ConsulKeys {
  /** Ends in a slash. */
  readonly root: string
  readonly head: string
  readonly log: string
  readonly chunks: string
  readonly snapshots: string
  readonly members: string

  constructor(prefix: string, clusterId: string) {
    this.root = `${prefix}/${clusterId}/`
    this.head = `${this.root}head`
    this.log = `${this.root}log/`
    this.chunks = `${this.root}chunks/`
    this.snapshots = `${this.root}snapshots/`
    this.members = `${this.root}members/`
  }

  static bucketOf(index: number): number {
    return Math.floor(index / entriesPerBucket)
  }

  bucket(bucket: number): string {
    return `${this.log}${digits(bucket, 12)}/`
  }

  entry(index: number): string {
    return `${this.bucket(ConsulKeys.bucketOf(index))}${digits(index, 14)}`
  }

  chunkBucket(bucket: number): string {
    return `${this.chunks}${digits(bucket, 12)}/`
  }

  entryChunks(index: number, id: string): string {
    return `${this.chunkBucket(ConsulKeys.bucketOf(index))}${id}/`
  }

  snapshotChunks(index: number, id: string): string {
    return `${this.snapshots}${digits(index, 14)}-${id}/`
  }

  chunk(folder: string, at: number): string {
    return `${folder}${digits(at, 6)}`
  }

  lock(name: string): string {
    return `${this.root}locks/${name}`
  }

  member(brokerId: number): string {
    return `${this.members}${brokerId}`
  }
}

/** How a payload lies in Consul. */
export type PackedMeta = {
  /** Unique for each writing: how its writer finds out what became of it. */
  readonly id: string
  /** Of the payload as it is stored. */
  readonly codec: CodecId
  readonly storedBytes: number
  readonly storedCrc: number
  /** Of the payload when it is opened. */
  readonly sizeBytes: number
  /** 0: the bytes stand behind the JSON line, of the entry's own key or of the head. */
  readonly chunks: number
}

export type EntryMeta = PackedMeta & {
  readonly index: number
  readonly controllerEpoch: number
  readonly previousDigest: number
  /** As the embedded store's frame of this entry would have it. */
  readonly digest: number
}

export type SnapshotMeta = PackedMeta & {
  readonly index: number
  readonly controllerEpoch: number
  /** Of the entry at `index`. */
  readonly digest: number
}

export type HeadValue = {
  /** Unique for each writing of the head. */
  readonly writeId: string
  readonly index: number
  /** Of the last leadership, also before it wrote an entry. */
  readonly controllerEpoch: number
  /** Of the last entry; 0 without one. */
  readonly digest: number
  readonly entry: EntryMeta | undefined
  /** Oldest first, at most two. */
  readonly snapshots: readonly SnapshotMeta[]
}

export type LockValue = {
  readonly epoch: number
  readonly brokerId: number
  readonly incarnationId: string
  /** Of the holder: what a deposer destroys, and nothing else. */
  readonly sessionId: string
  /** Of the last writing under the lock; undefined before the first one ever. */
  readonly writeId?: string | undefined
}

const newline = 0x0a

export function encodeValue(json: unknown, bytes: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(json)}\n`), bytes])
}

/** @throws LMQ_STORE_CORRUPT when the value is not one that LMQ wrote */
export function decodeValue<Json>(key: string, value: Buffer): { json: Json; bytes: Buffer } {
  const end = value.indexOf(newline)
  try {
    const json = JSON.parse(value.toString('utf8', 0, end < 0 ? value.length : end)) as Json
    if (typeof json !== 'object' || json === null) throw new Error('no object')
    return { json, bytes: end < 0 ? Buffer.alloc(0) : value.subarray(end + 1) }
  } catch (cause) {
    throw new LmqError('LMQ_STORE_CORRUPT', { key }, cause)
  }
}

/** The head, with the bytes of its entry when they ride in it. */
export type Head = HeadValue & { readonly inline: Buffer | undefined; readonly modifyIndex: number }

export const emptyHead: Head = {
  writeId: '',
  index: -1,
  controllerEpoch: 0,
  digest: 0,
  entry: undefined,
  snapshots: [],
  inline: undefined,
  modifyIndex: 0,
}

/** @throws LMQ_STORE_CORRUPT */
export function decodeHead(key: string, value: Buffer, modifyIndex: number): Head {
  const { json, bytes } = decodeValue<HeadValue & { inline?: boolean }>(key, value)
  const { writeId, index, controllerEpoch, digest, entry, snapshots } = json
  const numbers = [index, controllerEpoch, digest]
  if (!numbers.every(Number.isSafeInteger) || !Array.isArray(snapshots)) {
    throw new LmqError('LMQ_STORE_CORRUPT', { key })
  }
  const inline = json.inline === true ? bytes : undefined
  return { writeId, index, controllerEpoch, digest, entry, snapshots, inline, modifyIndex }
}

export function encodeHead(head: HeadValue, inline: Buffer | undefined): Buffer {
  const { writeId, index, controllerEpoch, digest, entry, snapshots } = head
  const value = { writeId, index, controllerEpoch, digest, entry, snapshots }
  return encodeValue({ ...value, inline: inline !== undefined }, inline)
}
