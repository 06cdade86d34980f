/**
 * MurmurHash3, x86, 128 bits, into four fields: compaction knows keys by their hash alone, as Kafka does (there: MD5).
 * Who could make two keys collide may write to the topic anyway, so the hash need not withstand an enemy.
 */
const c1 = 0x239b961b
const c2 = 0xab0e9789 | 0
const c3 = 0x38b34ae5
const c4 = 0xa1e38b93 | 0

export class KeyHash {
  h1 = 0
  h2 = 0
  h3 = 0
  h4 = 0

  /** Hashes `buffer[start, end)`. */
  update(buffer: Buffer, start: number, end: number): void {
    this.h1 = this.h2 = this.h3 = this.h4 = 0
    let at = start
    for (; at + 16 <= end; at += 16) this.#block(buffer, at)
    this.#tail(buffer, at, end)
    this.#finish(end - start)
  }

  #block(b: Buffer, at: number): void {
    this.h1 ^= mix(b.readInt32LE(at), c1, 15, c2)
    this.h1 = (Math.imul((rotate(this.h1, 19) + this.h2) | 0, 5) + 0x561ccd1b) | 0
    this.h2 ^= mix(b.readInt32LE(at + 4), c2, 16, c3)
    this.h2 = (Math.imul((rotate(this.h2, 17) + this.h3) | 0, 5) + 0x0bcaa747) | 0
    this.h3 ^= mix(b.readInt32LE(at + 8), c3, 17, c4)
    this.h3 = (Math.imul((rotate(this.h3, 15) + this.h4) | 0, 5) + 0x96cd1c35) | 0
    this.h4 ^= mix(b.readInt32LE(at + 12), c4, 18, c1)
    this.h4 = (Math.imul((rotate(this.h4, 13) + this.h1) | 0, 5) + 0x32ac3b17) | 0
  }

  #tail(b: Buffer, at: number, end: number): void {
    const word = (from: number): number => {
      let value = 0
      for (let index = Math.min(from + 4, end) - 1; index >= from; index--) {
        value = (value << 8) | (b[index] as number)
      }
      return value
    }
    if (end > at + 12) this.h4 ^= mix(word(at + 12), c4, 18, c1)
    if (end > at + 8) this.h3 ^= mix(word(at + 8), c3, 17, c4)
    if (end > at + 4) this.h2 ^= mix(word(at + 4), c2, 16, c3)
    if (end > at) this.h1 ^= mix(word(at), c1, 15, c2)
  }

  #finish(length: number): void {
    this.h1 ^= length
    this.h2 ^= length
    this.h3 ^= length
    this.h4 ^= length
    this.#spread()
    this.h1 = finalMix(this.h1)
    this.h2 = finalMix(this.h2)
    this.h3 = finalMix(this.h3)
    this.h4 = finalMix(this.h4)
    this.#spread()
  }

  #spread(): void {
    this.h1 = (this.h1 + this.h2 + this.h3 + this.h4) | 0
    this.h2 = (this.h2 + this.h1) | 0
    this.h3 = (this.h3 + this.h1) | 0
    this.h4 = (this.h4 + this.h1) | 0
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function mix(word: number, before: number, bits: number, after: number): number {
  return Math.imul(rotate(Math.imul(word, before), bits), after)
}

function finalMix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
