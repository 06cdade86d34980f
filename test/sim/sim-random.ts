import type { Random } from '../../src/io/io.ts'

/** Seeded chance (xoshiro128**): the same seed gives the same run. */
export class SimRandom implements Random {
  readonly #state: Int32Array

  constructor(seed: number) {
    let mixed = seed | 0
    this.#state = Int32Array.from({ length: 4 }, () => {
      mixed = (mixed + 0x9e3779b9) | 0
      let word = mixed
      word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
      return word ^ (word >>> 15)
    })
  }

  #next(): number {
    const s = this.#state as unknown as [number, number, number, number]
    const scrambled = Math.imul(rotate(Math.imul(s[1], 5), 7), 9)
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotate(s[3], 11)
    return scrambled >>> 0
  }

  int(maxExclusive: number): number {
    return Math.floor((this.#next() / 2 ** 32) * maxExclusive)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.#next() / 2 ** 32 < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.int(items.length)] as Item
  }

  uuid(): string {
    const bytes = this.bytes(16)
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
    const text = bytes.toString('base64url')
    return text.startsWith('-') ? this.uuid() : text
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => this.int(256)))
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}
