/** One byte of one file goes wrong. */
import { createSimIo, type SimWorld } from '../sim/sim-io.ts'

/** A folder's files by path. */
export type Image = ReadonlyMap<string, Buffer>

export type Damage = {
  readonly path: string
  readonly position: number
  /** Which bit is flipped; -1: the file ends here. */
  readonly bit: number
  readonly name: string
}

const bitsPerByte = 8

/** Every cut and every flipped bit in [from, to) of one file. */
export function damagesOf(path: string, from: number, to: number): Damage[] {
  const all: Damage[] = []
  for (let position = from; position < to; position++) {
    all.push({ path, position, bit: -1, name: `${path} cut at ${position}` })
    for (let bit = 0; bit < bitsPerByte; bit++) {
      all.push({ path, position, bit, name: `${path} bit ${bit} of byte ${position}` })
    }
  }
  return all
}

export function imageOf({ disk }: SimWorld): Image {
  return new Map(disk.paths().map((path) => [path, disk.readFileSync(path)]))
}

/** A machine whose disk holds the image, with the damage in it. */
export function worldWith(image: Image, damage: Damage): SimWorld {
  const world = createSimIo(1)
  const { disk } = world
  for (const [path, content] of image) {
    disk.makeFolderSync(path.slice(0, path.lastIndexOf('/')))
    const file = disk.openSync(path, 'write')
    file.writeSync([path === damage.path ? damaged(content, damage) : content], 0)
    file.flushSync()
    file.closeSync()
  }
  return world
}

function damaged(content: Buffer, { position, bit }: Damage): Buffer {
  if (bit < 0) return Buffer.from(content.subarray(0, position))
  const copy = Buffer.from(content)
  copy[position] = (copy[position] as number) ^ (1 << bit)
  return copy
}
