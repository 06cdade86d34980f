import { availableParallelism } from 'node:os'
import type { Transform } from 'node:stream'
import { LmqError } from '../base/errors.ts'
import { CodecPace, joined, TURN_BYTES } from './codec-pace.ts'
import { CodecThreads } from './codec-threads.ts'
import { Codec, type CodecId, type Codecs } from './io.ts'
import { decompressLz4Blocks, parseLz4Frame } from './lz4-frame.ts'
import { compressXerial, decompressSnappy } from './snappy-framing.ts'
import { isWholeZstd, zstdPieces } from './zstd-frame.ts'

/**
 * Opens and closes compressed batches. Each codec is loaded when it is first needed: a broker that only passes batches
 * through never pays for one, and one that is not installed is an error of the batch that asks for it.
 */
export const nodeCodecs: Codecs = {
  async compress(codec, plain, level) {
    if (codec === Codec.none) return plain
    const { compress } = await loaded(codec)
    return compress(plain, level)
  },
  async decompress(codec, packed, maxBytes) {
    if (codec === Codec.none) return packed
    const { decompress } = await loaded(codec)
    try {
      return await decompress(packed, maxBytes)
    } catch (error) {
      if (error instanceof LmqError) throw error
      throw new LmqError('LMQ_CODEC_FAILED', { codec: codecName(codec) }, error)
    }
  },
}

type LoadedCodec = {
  compress(plain: Buffer, level: number | undefined): Buffer | Promise<Buffer>
  decompress(packed: Buffer, maxBytes: number): Buffer | Promise<Buffer>
}

const loaders: Record<number, () => Promise<LoadedCodec>> = {
  [Codec.gzip]: loadGzip,
  [Codec.snappy]: loadSnappy,
  [Codec.lz4]: loadLz4,
  [Codec.zstd]: loadZstd,
}
const cache = new Map<CodecId, Promise<LoadedCodec>>()

function loaded(codec: CodecId): Promise<LoadedCodec> {
  let loading = cache.get(codec)
  if (!loading) {
    const load = loaders[codec]
    if (!load) throw new LmqError('LMQ_CODEC_FAILED', { codec, reason: 'no such codec' })
    loading = load()
    cache.set(codec, loading)
  }
  return loading
}

function codecName(codec: CodecId): string {
  return Object.keys(Codec)[codec] ?? String(codec)
}

async function importOptional<Module>(name: string, load: () => Promise<unknown>): Promise<Module> {
  try {
    const module = (await load()) as { default?: unknown }
    return (module.default ?? module) as Module
  } catch (error) {
    throw new LmqError('LMQ_CODEC_MISSING', { package: name }, error)
  }
}

async function loadGzip(): Promise<LoadedCodec> {
  const { createGunzip, createGzip } = await import('node:zlib')
  return {
    compress: (plain, level) => {
      const options = { chunkSize: chunkBytesFor(plain.length) }
      const leveled = level === undefined ? options : { ...options, level }
      return inThread(plain.length, () => through('gzip', createGzip(leveled), [plain]))
    },
    decompress: (packed, maxBytes) => {
      const expectedBytes = packed.length * USUAL_INFLATION
      const options = { chunkSize: chunkBytesFor(expectedBytes) }
      const open = () => through('gzip', createGunzip(options), [packed], maxBytes)
      return inThread(expectedBytes, open)
    },
  }
}

async function loadSnappy(): Promise<LoadedCodec> {
  type Snappy = Parameters<typeof compressXerial>[0]
  const snappy = await importOptional<Snappy>('@napi-rs/snappy', () => import('@napi-rs/snappy'))
  const inThreads = {
    ...snappy,
    uncompress: (packed: Buffer) =>
      inThread(packed.length * USUAL_INFLATION, () => snappy.uncompress(packed)),
  }
  return {
    compress: (plain) => compressXerial(snappy, plain, pace),
    decompress: (packed, maxBytes) => decompressSnappy(inThreads, packed, maxBytes, pace),
  }
}

async function loadLz4(): Promise<LoadedCodec> {
  const lz4 = await importOptional<typeof import('lz4-napi')>('lz4-napi', () => import('lz4-napi'))
  return {
    // Frames of independent blocks without checksums, as Kafka's strict reader wants them. It has no levels.
    compress: (plain) => inThread(plain.length, () => lz4.compressFrame(plain)),
    decompress(packed, maxBytes) {
      const frame = parseLz4Frame(packed)
      const surelyFits = frame.blocks.length * frame.blockMaxBytes <= maxBytes
      return surelyFits
        ? inThread(packed.length * USUAL_INFLATION, () => lz4.decompressFrame(packed))
        : decompressLz4Blocks(lz4, packed, frame, maxBytes, pace)
    },
  }
}

/** What Node's own zstd (22.15 and later) looks like; the types here are those of Node 20. */
type NodeZstd = {
  constants: Record<string, number>
  createZstdCompress: (options: object) => Transform
  createZstdDecompress: (options: object) => Transform
}

async function loadZstd(): Promise<LoadedCodec> {
  const zlib = (await import('node:zlib')) as unknown as NodeZstd
  return 'createZstdCompress' in zlib ? builtInZstd(zlib) : nativeZstd()
}

function builtInZstd(zlib: NodeZstd): LoadedCodec {
  const levelParameter = zlib.constants['ZSTD_c_compressionLevel'] ?? 100
  return {
    compress: (plain, level) => {
      const options = { chunkSize: chunkBytesFor(plain.length) }
      const leveled =
        level === undefined ? options : { ...options, params: { [levelParameter]: level } }
      return inThread(plain.length, () =>
        through('zstd', zlib.createZstdCompress(leveled), [plain]),
      )
    },
    decompress(packed, maxBytes) {
      checkWhole(packed)
      const expectedBytes = packed.length * USUAL_INFLATION
      const options = { chunkSize: chunkBytesFor(expectedBytes) }
      const open = () => through('zstd', zlib.createZstdDecompress(options), [packed], maxBytes)
      return inThread(expectedBytes, open)
    },
  }
}

function checkWhole(packed: Buffer): void {
  if (isWholeZstd(packed)) return
  throw new LmqError('LMQ_CODEC_FAILED', { codec: 'zstd', reason: 'cut off' })
}

async function nativeZstd(): Promise<LoadedCodec> {
  const zstd = await importOptional<typeof import('zstd-napi')>(
    'zstd-napi',
    () => import('zstd-napi'),
  )
  return {
    async compress(plain, level) {
      const parameters = level === undefined ? {} : { compressionLevel: level }
      if (plain.length <= PIECE_BYTES) return zstd.compress(plain, parameters)
      const pieces: Buffer[] = []
      for (let at = 0; at < plain.length; at += PIECE_BYTES) {
        pieces.push(plain.subarray(at, at + PIECE_BYTES))
      }
      return through('zstd', new zstd.CompressStream(parameters), pieces)
    },
    async decompress(packed, maxBytes) {
      checkWhole(packed)
      const pieces = zstdPieces(packed, BLOCKS_PER_PIECE)
      return through('zstd', new zstd.DecompressStream(), pieces, maxBytes)
    },
  }
}

/** Of what zstd takes or opens to at a time. */
const PIECE_BYTES = TURN_BYTES
const BLOCKS_PER_PIECE = PIECE_BYTES / (128 * 1024)

const pace = new CodecPace()
/** One processor and one thread are left to others. */
const threads = new CodecThreads(Math.max(1, Math.min(availableParallelism() - 1, 3)))

/** Small batches do not wait for one another's turn in the event loop. */
const inThread = <Outcome>(expectedBytes: number, work: () => Promise<Outcome>) =>
  expectedBytes <= SMALL_BYTES ? work() : threads.run(work)
const SMALL_BYTES = 64 * 1024

/** Of what zlib gives at a time: large ones for large outputs, which cost the event loop a callback each. */
const chunkBytesFor = (expectedBytes: number) =>
  Math.min(TURN_BYTES, Math.max(LEAST_CHUNK_BYTES, expectedBytes))
const LEAST_CHUNK_BYTES = 16 * 1024
const USUAL_INFLATION = 4

/** Sends pieces through a stream, one a turn, and collects what comes out: nothing beyond the bound. */
function through(
  codec: string,
  stream: Transform,
  pieces: Iterable<Buffer>,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let total = 0
    stream.on('data', (part: Buffer) => {
      pace.spend(part.length)
      total += part.length
      if (total <= maxBytes) parts.push(part)
      else stream.destroy(tooLarge(codec, maxBytes))
    })
    stream.on('end', () => resolve(joined(parts, total, pace)))
    stream.on('error', reject)
    const feed = async (): Promise<void> => {
      for (const piece of pieces) {
        const turn = pace.turn()
        if (turn) await turn
        if (stream.destroyed) return
        pace.spend(piece.length)
        // Of a stream that fails here, 'error' tells why.
        await new Promise<void>((taken) => stream.write(piece, () => taken()))
      }
      stream.end()
    }
    void feed()
  })
}

function tooLarge(codec: string, maxBytes: number): LmqError {
  return new LmqError('LMQ_CODEC_TOO_LARGE', { codec, maxBytes })
}
