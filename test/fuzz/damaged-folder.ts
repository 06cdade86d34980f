import { LmqError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { LogTopicConfig } from '../../src/log/log-config.ts'
import { LogDirs } from '../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import type { BatchOptions, RecordInput } from '../../src/protocol/batch-builder.ts'
import {
  attributesOf,
  baseOffsetOf,
  batchSizeOf,
  CRC_START,
  crcOf,
  isControl,
  lastOffsetOf,
} from '../../src/protocol/record-batch.ts'
import { createSimIo, type SimWorld } from '../sim/sim-io.ts'
import {
  append,
  batchOf,
  follow,
  logSettings,
  record,
  recordsIn,
  type StoredRecord,
  topicConfig,
} from '../unit/log/log-fixture.ts'
import { type Damage, damagesOf, type Image, imageOf, worldWith } from './damage.ts'

const dir = '/data'
const checkpointsWithinMs = 61_000
const damagedBatches = 3

/** The logs of the folder. */
const plans: Readonly<Record<string, { id: string; config: Partial<LogTopicConfig> }>> = {
  orders: { id: 'AAAAAAAAAAAAAAAAAAAAAQ', config: { 'segment.bytes': 700 } },
  plain: { id: 'OmfJvbCnT0qo5xWn3qgDJw', config: {} },
  table: {
    id: 'cX_pHlrJTvyRVpoVpWgR3g',
    config: {
      'segment.bytes': 500,
      'cleanup.policy': ['compact'],
      'min.cleanable.dirty.ratio': 0,
      'file.delete.delay.ms': 0,
    },
  },
}
const producerId = 5
const firstTimestamp = 1_700_000_000_000
const leaderEpochs = [1, 4, 9]

/** What a log holds, as its readers see it. */
type Content = {
  readonly records: readonly StoredRecord[]
  readonly startOffset: number
  readonly endOffset: number
  /** Records that were deleted, and may come back when the log start is forgotten. */
  readonly deleted: readonly StoredRecord[]
  readonly epochEnds: readonly number[]
  readonly aborted: string
  readonly times: readonly (number | undefined)[]
  readonly nextSequence: number
}

export type FolderPlace = Damage & {
  /** Where the damaged batch begins; undefined: what is damaged is no batch. */
  readonly batchOffset: number | undefined
}

const openDirs = ({ io }: SimWorld): Promise<LogDirs> =>
  LogDirs.open(io, {
    dirs: [dir],
    clusterId: 'c',
    brokerId: 1,
    logger: silentLogger,
    settings: logSettings,
  })

function create(dirs: LogDirs, topic: string): PartitionLog {
  const { id = '', config = {} } = plans[topic] ?? {}
  const all = topicConfig({ 'index.interval.bytes': 100, ...config })
  return follow(dirs.create(topic, 0, id, all))
}

// -------------------------------------------------------------------------------------------------- the folder

class Writer {
  readonly #world: SimWorld
  readonly log: PartitionLog
  sequence = 0
  #timestamp = firstTimestamp

  constructor(world: SimWorld, log: PartitionLog) {
    this.#world = world
    this.log = log
  }

  async write(keys: readonly string[], epoch: number, options: BatchOptions = {}): Promise<void> {
    const records: RecordInput[] = keys.map((key) => {
      this.#timestamp += 10
      return record(key, `${key} at ${this.#timestamp}`, this.#timestamp)
    })
    const producer = { producerId, producerEpoch: 0, baseSequence: this.sequence }
    await this.#append(batchOf(this.#world.io, records, { ...producer, ...options }), epoch)
    this.sequence += keys.length
  }

  /** Of another producer, so that this one's sequences go on. */
  async transaction(keys: readonly string[], epoch: number, commits: boolean): Promise<void> {
    this.#timestamp += 10
    const own = { producerId: 77, producerEpoch: 3, transactional: true }
    const records = keys.map((key) => record(key, 'in a transaction', this.#timestamp))
    const baseSequence = this.#transactional
    this.#transactional += keys.length
    await this.#append(batchOf(this.#world.io, records, { ...own, baseSequence }), epoch)
    const marker: RecordInput = {
      key: Buffer.from([0, 0, 0, commits ? 1 : 0]),
      value: Buffer.from([0, 0, 0, 0, 0, 8]),
      timestamp: this.#timestamp,
    }
    await this.#append(batchOf(this.#world.io, [marker], { ...own, control: true }), epoch)
  }
  #transactional = 0

  async #append(batch: Buffer, leaderEpoch: number): Promise<void> {
    const origin = 'coordinator'
    const { errorCode } = await append(this.log, batch, { leaderEpoch, nowMs: 2_000, origin })
    if (errorCode !== 0) throw new Error(`append gives ${errorCode}`)
  }
}

async function fill(world: SimWorld, dirs: LogDirs): Promise<Map<string, Content>> {
  const orders = new Writer(world, create(dirs, 'orders'))
  const plain = new Writer(world, create(dirs, 'plain'))
  const table = new Writer(world, create(dirs, 'table'))
  for (const epoch of leaderEpochs) {
    for (let round = 0; round < 4; round++) {
      await orders.write(['a', `b${round}`], epoch)
      await plain.write([`p${round}`], epoch)
      await table.write(['k1', `k${round % 3}`, 'k2'], epoch)
    }
    await orders.transaction(['t'], epoch, epoch === 4)
  }
  await dirs.applyCompaction()
  for (let round = 0; round < 4; round++) {
    await table.write([`late ${round}`], 9)
    await orders.write([`o${round}`], 9)
    await plain.write([`q${round}`, 'q'], 9)
  }
  const deleted = (await read(world, orders.log)).records
  orders.log.deleteRecordsBefore(3)
  await new Promise<void>((resolve) => world.io.timers.schedule(checkpointsWithinMs, resolve))
  const contents = new Map<string, Content>()
  for (const { log, sequence } of [orders, plain, table]) {
    const isOrders = log === orders.log
    const before = isOrders ? deleted.filter(({ offset }) => offset < log.logStartOffset) : []
    contents.set(log.topic, {
      ...(await contentOf(world, log)),
      deleted: before,
      nextSequence: sequence,
    })
  }
  return contents
}

async function contentOf(world: SimWorld, log: PartitionLog) {
  const { records } = await read(world, log)
  const { logStartOffset: startOffset, logEndOffset: endOffset } = log
  const times: (number | undefined)[] = []
  for (let at = 0; at < 600; at += 85) {
    const timestamp = firstTimestamp + at
    times.push((await log.offsetForTimestamp(timestamp, endOffset))?.offset)
  }
  return {
    records,
    startOffset,
    endOffset,
    epochEnds: leaderEpochs.map((epoch) => log.endOffsetForEpoch(epoch).endOffset),
    aborted: JSON.stringify(await log.abortedTransactions(startOffset, endOffset)),
    times,
  }
}

/** As a client reads: it looks at each batch's checksum and stops at one that is wrong, or at an error. */
/** The log gave a batch without an error that its reader finds damaged. */
const SERVED_DAMAGE = -1

async function read(world: SimWorld, log: PartitionLog) {
  const records: StoredRecord[] = []
  let offset = log.logStartOffset
  for (;;) {
    const from = offset
    const result = await log.read(from, 1_000_000, {
      upTo: log.writtenEndOffset,
      minOneBatch: true,
    })
    if (result.errorCode !== 0) return { records, stoppedAt: from, errorCode: result.errorCode }
    if (result.records.length === 0) return { records, stoppedAt: -1, errorCode: 0 }
    for (const part of result.records) {
      for (let at = 0; at < part.length; at += batchSizeOf(part, at)) {
        const batch = part.subarray(at, at + batchSizeOf(part, at))
        if (crcOf(batch, 0) !== world.io.crc32c(batch, CRC_START, batch.length)) {
          return { records, stoppedAt: baseOffsetOf(batch, 0), errorCode: SERVED_DAMAGE }
        }
        if (isControl(attributesOf(batch, 0))) continue
        records.push(...recordsIn([batch]).filter((one) => one.offset >= from))
      }
    }
    offset = result.nextOffset
  }
}

/**
 * Kafka's format has no checksum for this, and nothing else tells it: where the last batch of a compacted log begins, as
 * far as an index could say it.
 */
const isBeyondTelling = (
  { path, position, bit }: Damage,
  content: Buffer,
  lastAt: number,
): boolean =>
  path.includes('/table-0/') &&
  content.length > 0 &&
  bit >= 0 &&
  position > lastAt + 3 &&
  position < lastAt + 8

/** The folder, all places where it can be damaged, and the check of one. */
export async function damageFolder(isKilled: boolean) {
  const world = createSimIo(1)
  const contents = await world.run(async () => {
    const dirs = await openDirs(world)
    const filled = await fill(world, dirs)
    if (!isKilled) await dirs.close()
    return filled
  })
  world.kill()
  const image = imageOf(world)
  const places: FolderPlace[] = []
  for (const [path, content] of image) {
    if (!path.endsWith('.log')) {
      places.push(
        ...damagesOf(path, 0, content.length).map((one) => ({ ...one, batchOffset: undefined })),
      )
      continue
    }
    if (isLastSegment(image, path)) places.push(...placesInBatches(path, content))
  }
  return {
    places,
    check: (place: FolderPlace) => check(image, contents, place),
  }
}

function isLastSegment(image: Image, path: string): boolean {
  const folder = path.slice(0, path.lastIndexOf('/'))
  const logs = [...image.keys()].filter((one) => one.startsWith(folder) && one.endsWith('.log'))
  return logs.sort().at(-1) === path
}

function placesInBatches(path: string, content: Buffer): FolderPlace[] {
  const batches: { at: number; end: number; offset: number }[] = []
  for (let at = 0; at < content.length; at += batchSizeOf(content, at)) {
    batches.push({ at, end: at + batchSizeOf(content, at), offset: baseOffsetOf(content, at) })
    if (lastOffsetOf(content, at) < 0) throw new Error('the image is damaged already')
  }
  return batches.slice(-damagedBatches).flatMap(({ at, end, offset }) =>
    damagesOf(path, at, end)
      .filter((one) => !isBeyondTelling(one, content, batches.at(-1)?.at ?? 0))
      .map((one) => ({ ...one, batchOffset: offset })),
  )
}

// -------------------------------------------------------------------------------------------------- the check

async function check(
  image: Image,
  contents: ReadonlyMap<string, Content>,
  place: FolderPlace,
): Promise<string | undefined> {
  const world = worldWith(image, place)
  const result = await world.run(async () => {
    let dirs: LogDirs
    try {
      dirs = await openDirs(world)
    } catch (error) {
      const isTold = error instanceof LmqError && error.code === 'LMQ_LOG_DIR_FOREIGN'
      if (isTold && place.path.endsWith('meta.properties')) return undefined
      throw error
    }
    for (const [topic, content] of contents) {
      const log = create(dirs, topic)
      const isHit = place.batchOffset !== undefined && place.path.includes(`/${topic}-0/`)
      const why = isHit
        ? await checkHit(world, log, content, place.batchOffset as number)
        : await checkWhole(world, log, content, place.path)
      if (why !== undefined) return `${topic}: ${why}`
    }
    await dirs.close()
    return undefined
  })
  return result
}

/** All before the damaged batch, nothing that never was, and the log goes on. */
async function checkHit(
  world: SimWorld,
  log: PartitionLog,
  content: Content,
  batchOffset: number,
): Promise<string | undefined> {
  const { records, errorCode, stoppedAt } = await read(world, log)
  if (errorCode === SERVED_DAMAGE) return `serves a damaged batch at ${stoppedAt}`
  const known = new Set(content.records.map((one) => JSON.stringify(one)))
  const stranger = records.find((one) => !known.has(JSON.stringify(one)))
  if (stranger) return `serves ${JSON.stringify(stranger)}`
  const safe = content.records.filter(({ offset }) => offset < batchOffset)
  const found = new Set(records.map(({ offset }) => offset))
  const lost = safe.find(({ offset }) => !found.has(offset))
  if (lost) return `lost ${JSON.stringify(lost)}`
  if (errorCode !== 0) return undefined
  const end = log.logEndOffset
  const { baseOffset } = await append(log, batchOf(world.io, [record('n', 'n')]))
  return baseOffset === end ? undefined : `appends at ${baseOffset}, ended at ${end}`
}

/** Nothing is missing and nothing has changed. */
async function checkWhole(
  world: SimWorld,
  log: PartitionLog,
  content: Content,
  path: string,
): Promise<string | undefined> {
  const { deleted, nextSequence, ...expected } = content
  const { records, startOffset, endOffset, ...facts } = await contentOf(world, log)
  const isStartLost =
    path.endsWith('log-start-offset-checkpoint') && startOffset < expected.startOffset
  const wanted = isStartLost ? [...deleted, ...expected.records] : expected.records
  if (JSON.stringify(records) !== JSON.stringify(wanted)) {
    const offsets = records.map(({ offset }) => offset)
    return `${records.length} of ${wanted.length} records: ${offsets.join(' ')}`
  }
  if (endOffset !== expected.endOffset) return `ends at ${endOffset}, not at ${expected.endOffset}`
  const { epochEnds, aborted, times } = expected
  // Where compaction left no batch of an epoch, only the checkpoint knew of it.
  const areEpochsLost = path.endsWith('table-0/leader-epoch-checkpoint')
  if (!areEpochsLost && JSON.stringify(facts.epochEnds) !== JSON.stringify(epochEnds)) {
    return `epochs end at ${facts.epochEnds}, not at ${epochEnds}`
  }
  if (!isStartLost && facts.aborted !== aborted) {
    return `aborted are ${facts.aborted}, not ${aborted}`
  }
  if (!isStartLost && JSON.stringify(facts.times) !== JSON.stringify(times)) {
    return `times lead to ${facts.times}, not to ${times}`
  }
  const next = { producerId, producerEpoch: 0, baseSequence: nextSequence }
  const again = { producerId, producerEpoch: 0, baseSequence: nextSequence + 5 }
  const skipped = await append(log, batchOf(world.io, [record('s', 's')], again))
  if (skipped.errorCode === 0) return 'a sequence may be skipped'
  const { errorCode } = await append(log, batchOf(world.io, [record('n', 'n')], next))
  return errorCode === 0 ? undefined : `the producer cannot go on: ${errorCode}`
}
