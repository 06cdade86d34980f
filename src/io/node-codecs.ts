import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import type { ZlibOptions } from 'node:zlib'
import { LmqError } from '../base/errors.ts'
import { CodecPace, TURN_BYTES } from './codec-pace.ts'
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
  const zlib = await import('node:zlib')
  const gzip = promisify<Buffer, ZlibOptions, Buffer>(zlib.gzip)
  const gunzip = promisify<Buffer, ZlibOptions, Buffer>(zlib.gunzip)
  return {
    compress: (plain, level) => gzip(plain, level === undefined ? {} : { level }),
    decompress: (packed, maxBytes) =>
      boundedByNode('gzip', maxBytes, gunzip(packed, { maxOutputLength: Math.max(1, maxBytes) })),
  }
}

async function loadSnappy(): Promise<LoadedCodec> {
  type Snappy = Parameters<typeof compressXerial>[0]
  const snappy = await importOptional<Snappy>('@napi-rs/snappy', () => import('@napi-rs/snappy'))
  return {
    compress: (plain) => compressXerial(snappy, plain, pace),
    decompress: (packed, maxBytes) => decompressSnappy(snappy, packed, maxBytes, pace),
  }
}

async function loadLz4(): Promise<LoadedCodec> {
  const lz4 = await importOptional<typeof import('lz4-napi')>('lz4-napi', () => import('lz4-napi'))
  return {
    // Frames of independent blocks without checksums, as Kafka's strict reader wants them. It has no levels.
    compress: (plain) => lz4.compressFrame(plain),
    decompress(packed, maxBytes) {
      const frame = parseLz4Frame(packed)
      const surelyFits = frame.blocks.length * frame.blockMaxBytes <= maxBytes
      return surelyFits
        ? lz4.decompressFrame(packed)
        : decompressLz4Blocks(lz4, packed, frame, maxBytes, pace)
    },
  }
}

/** What Node's own zstd (22.15 and later) looks like; the types here are those of Node 20. */
type NodeZstd = {
  constants: Record<string, number>
  zstdCompress: (
    plain: Buffer,
    options: object,
    done: (error: Error | null, packed: Buffer) => void,
  ) => void
  zstdDecompress: (
    packed: Buffer,
    options: object,
    done: (error: Error | null, plain: Buffer) => void,
  ) => void
}

async function loadZstd(): Promise<LoadedCodec> {
  const zlib = (await import('node:zlib')) as unknown as NodeZstd
  return 'zstdCompress' in zlib ? builtInZstd(zlib) : nativeZstd()
}

function builtInZstd(zlib: NodeZstd): LoadedCodec {
  const compress = promisify(zlib.zstdCompress)
  const decompress = promisify(zlib.zstdDecompress)
  const levelParameter = zlib.constants['ZSTD_c_compressionLevel'] ?? 100
  return {
    compress: (plain, level) =>
      compress(plain, level === undefined ? {} : { params: { [levelParameter]: level } }),
    decompress(packed, maxBytes) {
      if (!isWholeZstd(packed)) {
        throw new LmqError('LMQ_CODEC_FAILED', { codec: 'zstd', reason: 'cut off' })
      }
      const opened = decompress(packed, { maxOutputLength: Math.max(1, maxBytes) })
      return boundedByNode('zstd', maxBytes, opened)
    },
  }
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
      return through(new zstd.CompressStream(parameters), pieces, Number.POSITIVE_INFINITY)
    },
    async decompress(packed, maxBytes) {
      if (!isWholeZstd(packed)) {
        throw new LmqError('LMQ_CODEC_FAILED', { codec: 'zstd', reason: 'cut off' })
      }
      const pieces = zstdPieces(packed, BLOCKS_PER_PIECE)
      return through(new zstd.DecompressStream(), pieces, maxBytes)
    },
  }
}

/** Of what zstd takes or opens to at a time. */
const PIECE_BYTES = TURN_BYTES
const BLOCKS_PER_PIECE = PIECE_BYTES / (128 * 1024)

const pace = new CodecPace()

/** Sends pieces through a stream that works where it is called: one piece a turn, nothing beyond the bound. */
function through(stream: Transform, pieces: readonly Buffer[], maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let total = 0
    stream.on('data', (part: Buffer) => {
      pace.spend(part.length)
      total += part.length
      if (total <= maxBytes) parts.push(part)
      else stream.destroy(tooLarge('zstd', maxBytes))
    })
    stream.on('end', () => resolve(Buffer.concat(parts, total)))
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

async function boundedByNode(
  codec: string,
  maxBytes: number,
  opened: Promise<Buffer>,
): Promise<Buffer> {
  try {
    return await opened
  } catch (error) {
    const isBound = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw isBound ? tooLarge(codec, maxBytes) : error
  }
}

function tooLarge(codec: string, maxBytes: number): LmqError {
  return new LmqError('LMQ_CODEC_TOO_LARGE', { codec, maxBytes })
}
