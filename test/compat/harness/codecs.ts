// kafkajs ships gzip only and takes the other codecs as plug-ins. These wrap the npm packages; snappy adds the frame that the
// Java client writes ("xerial"), which every reader must accept beside plain snappy.
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import type { Codec } from './driver.ts'

const require = createRequire(import.meta.url)
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const xerialHeaderBytes = 16

type Snappy = {
  compressSync(data: Buffer): Buffer
  uncompressSync(data: Buffer, options?: { asBuffer: boolean }): Buffer
}
type Lz4 = {
  compressFrame(data: Buffer): Promise<Buffer>
  decompressFrame(data: Buffer): Promise<Buffer>
}
type Zstd = { compress(data: Buffer): Buffer; decompress(data: Buffer): Buffer }

type Encoder = { readonly buffer: Buffer }
type KafkajsCodec = {
  compress(encoder: Encoder): Promise<Buffer>
  decompress(data: Buffer): Promise<Buffer>
}

function optional<T>(name: string): T | undefined {
  try {
    return require(name) as T
  } catch {
    return undefined
  }
}

/** Gives kafkajs its codecs. @returns those that work here: a native package may be missing */
export function installKafkajsCodecs(): Codec[] {
  const { CompressionCodecs, CompressionTypes } = kafkajs
  const installed: Codec[] = ['none', 'gzip']
  const install = (codec: Codec, type: number, made: KafkajsCodec | undefined) => {
    if (!made) return
    CompressionCodecs[type as 1] = () => made
    installed.push(codec)
  }
  install('snappy', CompressionTypes.Snappy, snappyCodec(optional('@napi-rs/snappy')))
  install('lz4', CompressionTypes.LZ4, lz4Codec(optional('lz4-napi')))
  install('zstd', CompressionTypes.ZSTD, zstdCodec(optional('zstd-napi')))
  return installed
}

function snappyCodec(snappy: Snappy | undefined): KafkajsCodec | undefined {
  if (!snappy) return undefined
  return {
    compress: async (encoder) => snappy.compressSync(encoder.buffer),
    decompress: async (data) => {
      if (!data.subarray(0, xerialMagic.length).equals(xerialMagic))
        return snappy.uncompressSync(data)
      const blocks: Buffer[] = []
      for (let at = xerialHeaderBytes; at < data.length; ) {
        const length = data.readInt32BE(at)
        blocks.push(snappy.uncompressSync(data.subarray(at + 4, at + 4 + length)))
        at += 4 + length
      }
      return Buffer.concat(blocks)
    },
  }
}

function lz4Codec(lz4: Lz4 | undefined): KafkajsCodec | undefined {
  if (!lz4) return undefined
  return {
    compress: (encoder) => lz4.compressFrame(encoder.buffer),
    decompress: (data) => lz4.decompressFrame(data),
  }
}

function zstdCodec(zstd: Zstd | undefined): KafkajsCodec | undefined {
  if (!zstd) return undefined
  return {
    compress: async (encoder) => zstd.compress(encoder.buffer),
    decompress: async (data) => zstd.decompress(data),
  }
}
