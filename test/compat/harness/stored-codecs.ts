import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  batchSizeOf,
  codecOf,
} from '../../../src/protocol/record-batch.ts'
import { type Codec, codecs } from './driver.ts'

/** The codecs of a topic's batches as they lie in a broker's data folder: what a producer was told, it may have left. */
export function storedCodecs(dataFolder: string, topic: string): ReadonlySet<Codec> {
  const found = new Set<Codec>()
  const partitions = readdirSync(dataFolder).filter((name) => name.startsWith(`${topic}-`))
  for (const partition of partitions) {
    const folder = join(dataFolder, partition)
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.log'))) {
      const file = readFileSync(join(folder, name))
      for (let at = 0; at + BATCH_HEADER_BYTES <= file.length; at += batchSizeOf(file, at)) {
        const codec = codecs[codecOf(attributesOf(file, at))]
        if (codec) found.add(codec)
      }
    }
  }
  return found
}
