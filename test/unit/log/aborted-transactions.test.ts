// Goal: whatever bit of a transaction index a disk flips while the broker is down, and wherever it cuts the file, readers
// of committed records are told the transactions that were aborted, and compaction takes away those and no others.
// Method: transactions of three producers, interleaved and across segments; an orderly stop; each damage of each index,
// one at a time; then every offset is read. The answers are those of the folder before it was damaged.
import t from 'tap'
import type { LogDirs } from '../../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import { damagesOf, type Image, imageOf, worldWith } from '../../fuzz/damage.ts'
import { createSimIo, type SimWorld } from '../../sim/sim-io.ts'
import {
  append,
  batchOf,
  follow,
  openLogDirs,
  readAll,
  record,
  topicConfig,
  topicId,
} from './log-fixture.ts'

const nowMs = 1_700_000_000_000
const config = topicConfig({ 'segment.bytes': 700, 'index.interval.bytes': 100 })
const compacted = topicConfig({
  'segment.bytes': 700,
  'cleanup.policy': ['compact'],
  'min.cleanable.dirty.ratio': 0,
})

class Writer {
  readonly #world: SimWorld
  readonly #log: PartitionLog
  readonly #sequences = new Map<number, number>()

  constructor(world: SimWorld, log: PartitionLog) {
    this.#world = world
    this.#log = log
  }

  async data(producerId: number): Promise<void> {
    const baseSequence = this.#sequences.get(producerId) ?? 0
    this.#sequences.set(producerId, baseSequence + 1)
    const records = [record(`${producerId}-${baseSequence}`, 'x'.repeat(40), nowMs)]
    await this.#append(producerId, records, { baseSequence })
  }

  async end(producerId: number, how: 'abort' | 'commit'): Promise<void> {
    const key = Buffer.from([0, 0, 0, how === 'abort' ? 0 : 1])
    const records = [{ key, value: Buffer.alloc(6), timestamp: nowMs }]
    await this.#append(producerId, records, { control: true })
  }

  async #append(producerId: number, records: Parameters<typeof batchOf>[1], options: object) {
    const own = { producerId, producerEpoch: 0, transactional: true }
    const batch = batchOf(this.#world.io, records, { ...own, ...options })
    const { errorCode } = await append(this.#log, batch, { nowMs, origin: 'coordinator' })
    if (errorCode !== 0) throw new Error(`append gives ${errorCode}`)
  }
}

/** What was aborted is `1-0 1-1 1-2`, `2-0`, `2-3 2-4`, `3-2`. */
async function fill(world: SimWorld, log: PartitionLog): Promise<void> {
  const writer = new Writer(world, log)
  const data = async (...producers: number[]) => {
    for (const producer of producers) await writer.data(producer)
  }
  await data(1, 2, 3, 1)
  await writer.end(2, 'abort')
  await data(3, 2)
  await writer.end(3, 'commit')
  await data(1, 2)
  await writer.end(1, 'abort')
  await writer.end(2, 'commit')
  await data(1, 2, 2, 3)
  await writer.end(2, 'abort')
  await writer.end(3, 'abort')
  await data(1)
  await writer.end(1, 'commit')
}

async function opened<Outcome>(
  world: SimWorld,
  settings: typeof config,
  work: (log: PartitionLog, dirs: LogDirs) => Promise<Outcome>,
): Promise<Outcome> {
  return await world.run(async () => {
    const dirs = await openLogDirs(world.io, ['/data'])
    const outcome = await work(follow(dirs.create('orders', 0, topicId, settings)), dirs)
    await dirs.close()
    return outcome
  })
}

/** For every offset what a fetch of two batches or so says, as text. */
async function toldBy(log: PartitionLog): Promise<string[]> {
  const told: string[] = []
  for (let offset = log.logStartOffset; offset < log.logEndOffset; offset++) {
    const result = await log.read(offset, 250, {
      upTo: log.writtenEndOffset,
      minOneBatch: true,
      withAborted: true,
    })
    const { errorCode, nextOffset, abortedTransactions } = result
    const aborted = abortedTransactions?.filter(({ firstOffset }) => firstOffset < nextOffset)
    told.push(`${offset}: ${errorCode} ${nextOffset} ${JSON.stringify(aborted)}`)
  }
  return told
}

async function stopped(settings: typeof config): Promise<{ image: Image; told: string[] }> {
  const world = createSimIo(1)
  const told = await opened(world, settings, async (log) => {
    await fill(world, log)
    return toldBy(log)
  })
  return { image: imageOf(world), told }
}

const indexesOf = (image: Image) => [...image].filter(([path]) => path.endsWith('.txnindex'))
const allDamages = (image: Image) =>
  indexesOf(image).flatMap(([path, content]) => damagesOf(path, 0, content.length))

t.test('no reader is deceived', async (t) => {
  const { image, told } = await stopped(config)
  t.ok(indexesOf(image).length > 1, 'several segments have one')
  t.ok(told.some((line) => line.includes('"producerId":2')))
  const deceived: string[] = []
  for (const damage of allDamages(image)) {
    const world = worldWith(image, damage)
    const now = await opened(world, config, toldBy)
    if (JSON.stringify(now) !== JSON.stringify(told)) deceived.push(damage.name)
    const mended = JSON.stringify(indexesOf(imageOf(world)))
    if (mended !== JSON.stringify(indexesOf(image))) deceived.push(`${damage.name}: not mended`)
  }
  t.same(deceived, [])
})

t.test('nor when the log went on before anybody looked', async (t) => {
  const { image } = await stopped(config)
  const goOn = async (world: SimWorld, log: PartitionLog) => {
    await log.truncateTo(log.logEndOffset - 3)
    const writer = new Writer(world, log)
    for (const producer of [7, 8, 7]) await writer.data(producer)
    await writer.end(7, 'abort')
  }
  const sound = worldWith(image, { path: '', position: 0, bit: 0, name: 'none' })
  await opened(sound, config, (log) => goOn(sound, log))
  const told = await opened(sound, config, toldBy)
  t.ok(told.some((line) => line.includes('"producerId":7')))
  const deceived: string[] = []
  for (const damage of allDamages(image)) {
    const world = worldWith(image, damage)
    await opened(world, config, (log) => goOn(world, log))
    const now = await opened(world, config, toldBy)
    if (JSON.stringify(now) !== JSON.stringify(told)) deceived.push(damage.name)
  }
  t.same(deceived, [])
})

t.test('compaction takes no committed record away, and leaves no aborted one', async (t) => {
  const { image } = await stopped(compacted)
  const wrong = new Map<string, string>()
  for (const damage of allDamages(image)) {
    const keys = await opened(worldWith(image, damage), compacted, async (log, dirs) => {
      log.roll(nowMs)
      await dirs.applyCompaction()
      return (await readAll(log)).map(({ key }) => key).join(' ')
    })
    if (keys !== '3-0 3-1 2-1 2-2 1-3 1-4') wrong.set(damage.name, keys)
  }
  t.same([...wrong], [])
})

t.test('behind a damaged batch the index is all there is', async (t) => {
  const { image, told } = await stopped(config)
  const [path = '', content = Buffer.alloc(0)] = [...image].find(([p]) => p.endsWith('.log')) ?? []
  const bit = { path, position: content.length - 1, bit: 0, name: 'last byte of the first segment' }
  const now = await opened(worldWith(image, bit), config, toldBy)
  t.ok(
    now.length === told.length && now.some((line) => / 2 -1 /.test(line)),
    'the batch is refused',
  )
  const errors = (line: string) => / [1-9]\d* -1 /.test(line)
  const ends = (line: string) => line.split(' ').slice(0, 3).join(' ')
  const different = now.filter((line, at) => {
    const before = told[at] ?? ''
    return !errors(line) && ends(line) === ends(before) && line !== before
  })
  t.same(different, [])
})

t.test('without snapshots the log is read from its start', async (t) => {
  const { image, told } = await stopped(config)
  const bare = new Map([...image].filter(([path]) => !path.endsWith('.snapshot')))
  for (const [path, content] of indexesOf(bare)) bare.set(path, Buffer.alloc(content.length))
  const none = { path: '', position: 0, bit: 0, name: 'none' }
  t.same(await opened(worldWith(bare, none), config, toldBy), told)
})
