/** Kafka's partitioner for keys (DefaultPartitioner): equal keys go to the same partition from every client. */

const seed = 0x9747b28c
const m = 0x5bd1e995
const r = 24

/** Murmur2 of a key, as a signed 32-bit number, as Kafka's Utils.murmur2 computes it. */
export function murmur2(key: Buffer): number {
  const length = key.length
  let h = seed ^ length
  const whole = length & ~3
  for (let at = 0; at < whole; at += 4) {
    let k = Math.imul(key.readInt32LE(at), m)
    k = Math.imul(k ^ (k >>> r), m)
    h = Math.imul(h, m) ^ k
  }
  const rest = length - whole
  if (rest === 3) h ^= (key[whole + 2] ?? 0) << 16
  if (rest >= 2) h ^= (key[whole + 1] ?? 0) << 8
  if (rest >= 1) h = Math.imul(h ^ (key[whole] ?? 0), m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}

export const partitionOfKey = (key: Buffer, partitionCount: number): number =>
  (murmur2(key) & 0x7fffffff) % partitionCount
