// Frames that a broken or hostile client could send: a well-formed request of any served API and version, then damage.
import type { Api, Field, Fields } from '../../src/protocol/schema.ts'
import { inRange, parseVersions } from '../../src/protocol/versions.ts'
import { Writer } from '../../src/protocol/writer.ts'

/** mulberry32: small, fast, the same everywhere. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** In [0, max). */
  int(max: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * max)
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.int(items.length)] as Item
  }

  chance(percent: number): boolean {
    return this.int(100) < percent
  }
}

export type Target = {
  readonly api: Api
  readonly version: number
}

/** Names that hit something often enough; nothing here is a name of the undisturbed clients. */
const names = ['fuzz', 'fuzz-2', 'g', 'm', '__consumer_offsets', '', '..', 'x y', 'a'.repeat(300)]
const numbers = [0, 0, 0, 1, 1, -1, -2, 2, 3, 5, 100, 32_767, -32_768]
const longs = [0, 1, -1, -2, -3, -6, 1000, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER, -(2 ** 52)]
const uuids = ['AAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAQ', 'zzzzzzzzzzzzzzzzzzzzzw']

/** A request of this layout with random content. Waiting times stay short, so that no frame holds up the run. */
export function randomRequest(dice: Dice, fields: Fields, version: number): object {
  const message: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    if (!inRange(parseVersions(field.versions), version)) continue
    if (/TimeoutMs|maxWaitMs|timeoutMs/i.test(name)) message[name] = dice.int(20)
    else message[name] = randomValue(dice, field, version)
  }
  return message
}

function randomValue(dice: Dice, field: Field, version: number): unknown {
  const { nullable } = field.options
  if (nullable !== undefined && inRange(parseVersions(nullable), version) && dice.chance(15)) {
    return null
  }
  if (!field.isArray) return randomOne(dice, field, version)
  return Array.from({ length: dice.int(4) }, () => randomOne(dice, field, version))
}

function randomOne(dice: Dice, field: Field, version: number): unknown {
  switch (field.kind) {
    case 'struct':
      return randomRequest(dice, field.fields ?? {}, version)
    case 'bool':
      return dice.chance(50)
    case 'int8':
      return dice.pick([0, 1, -1, 127, -128])
    case 'int16':
      return dice.pick(numbers)
    case 'int32':
      return dice.chance(5) ? dice.pick([2 ** 31 - 1, -(2 ** 31)]) : dice.pick(numbers)
    case 'uint16':
    case 'uint32':
      return dice.int(65_536)
    case 'int64':
      return dice.pick(longs)
    case 'float64':
      return dice.int(1000) / 7
    case 'uuid':
      return dice.pick(uuids)
    case 'string':
      return dice.pick(names)
    default:
      return Buffer.from(Array.from({ length: dice.int(90) }, () => dice.int(256)))
  }
}

export function frameOf(target: Target, message: object, correlationId: number): Buffer {
  const writer = new Writer()
  try {
    writer.int32(0)
    writer.int16(target.api.key)
    writer.int16(target.version)
    writer.int32(correlationId)
    writer.nullableString('fuzz')
    if (inRange(target.api.flexible, target.version)) writer.uvarint(0)
    target.api.request.write(writer, message as never, target.version)
    return Buffer.concat(writer.finishFrame())
  } finally {
    writer.release()
  }
}

/** Damages bytes from `from` on; the result may be shorter or longer. */
export function damage(dice: Dice, original: Buffer, from: number): Buffer {
  let bytes = Buffer.from(original)
  for (let times = 1 + dice.int(3); times > 0; times--) {
    const at = from + dice.int(Math.max(1, bytes.length - from))
    switch (dice.int(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << dice.int(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = dice.pick([0, 0xff, 0x7f, 0x80, dice.int(256)])
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3: {
        const extra = Buffer.from(Array.from({ length: 1 + dice.int(8) }, () => dice.int(256)))
        bytes = Buffer.concat([bytes.subarray(0, at), extra, bytes.subarray(at)])
        break
      }
      case 4:
        if (at + 4 <= bytes.length) {
          bytes.writeInt32BE(dice.pick([-1, 0, 2 ** 31 - 1, -(2 ** 31), 65_536]), at)
        }
        break
      default: {
        const end = Math.min(bytes.length, at + dice.int(12))
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
      }
    }
  }
  return bytes
}

/** Puts the right size in front again, so that what follows is looked at. */
export function reframed(frame: Buffer): Buffer {
  const bytes = frame.length < 4 ? Buffer.alloc(4) : Buffer.from(frame)
  bytes.writeInt32BE(bytes.length - 4, 0)
  return bytes
}
