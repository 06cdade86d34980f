import { LmqError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { EmbeddedMetadataStore } from '../../src/cluster/embedded-metadata-store.ts'
import { createSimIo, type SimWorld } from '../sim/sim-io.ts'
import { type Damage, damagesOf, type Image, imageOf, worldWith } from './damage.ts'

const folder = '/data/metadata'
const entryCount = 30
const snapshotsAt = [8, 16]
const frameBytes = 32

export type MetadataPlace = Damage & {
  /** Entries up to this index were acknowledged before the damaged place. */
  readonly safeIndex: number
}

const open = ({ io }: SimWorld): EmbeddedMetadataStore =>
  EmbeddedMetadataStore.open({ io, folder, logger: silentLogger })

const payloadOf = (index: number): string => `entry ${index} ${'x'.repeat(index % 7)}`
const historyOf = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => payloadOf(at))

/** A log of entries and two snapshots. */
async function makeImage(): Promise<Image> {
  const world = createSimIo(1)
  await world.run(async () => {
    const store = open(world)
    const leadership = await store.lead({ brokerId: 1, incarnationId: 'i' })
    if (!leadership) throw new Error('nobody else leads')
    for (let index = 0; index < entryCount; index++) {
      await store.append(leadership, index - 1, Buffer.from(payloadOf(index)))
      if (!snapshotsAt.includes(index)) continue
      const payload = Buffer.from(JSON.stringify(historyOf(index + 1)))
      await store.writeSnapshot(leadership, { index, payload })
    }
    await store.close()
  })
  return imageOf(world)
}

export async function damageMetadata() {
  const image = await makeImage()
  const places: MetadataPlace[] = []
  for (const [path, content] of image) {
    const index = Number(/(\d{20})\.entries$/.exec(path)?.[1] ?? Number.NaN)
    const lastIndex = entryCount - 1
    const ends = Number.isNaN(index) ? [] : endsOf(content)
    for (const damage of damagesOf(path, 0, content.length)) {
      const frame = ends.findIndex((end) => damage.position < end)
      places.push({ ...damage, safeIndex: frame < 0 ? lastIndex : index + frame - 1 })
    }
  }
  return { places, check: (place: MetadataPlace) => check(image, place) }
}

function endsOf(content: Buffer): number[] {
  const ends: number[] = []
  for (let at = 0; at < content.length; ) {
    at += frameBytes + content.readUInt32BE(at + 4)
    ends.push(at)
  }
  return ends
}

/** It may refuse to open; what it gives must be a beginning of the history with all that is safe. */
async function check(image: Image, place: MetadataPlace): Promise<string | undefined> {
  const world = worldWith(image, place)
  return world.run(async () => {
    let store: EmbeddedMetadataStore
    try {
      store = open(world)
    } catch (error) {
      if (error instanceof LmqError && error.code === 'LMQ_STORE_CORRUPT') return undefined
      throw error
    }
    const { snapshot, entries } = await store.read(0, 1e9)
    const past = snapshot ? (JSON.parse(snapshot.payload.toString()) as string[]) : []
    const found = [...past, ...entries.map(({ payload }) => payload.toString())]
    await store.close()
    if (found.length <= place.safeIndex) return `only ${found.length} of ${place.safeIndex + 1}`
    const expected = historyOf(found.length)
    const wrong = found.findIndex((payload, at) => payload !== expected[at])
    return wrong < 0 ? undefined : `entry ${wrong} is ${found[wrong]}`
  })
}
