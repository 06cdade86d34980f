// Goal: a record comes once, whichever leaders answer, and in whatever order. Whoever is asked is told which leader is
// meant; a position is given up only when the leader itself says that it is gone; a replica that is nearer is read from
// as long as it answers.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import type { Client } from '../../../src/client/client.ts'
import { Fetcher, type FetcherOptions } from '../../../src/client/fetcher.ts'
import { OffsetSpec } from '../../../src/client/offsets.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'

type Answered = {
  readonly partitionIndex: number
  readonly errorCode?: number
  readonly records?: Buffer
  readonly divergingEpoch?: { readonly epoch: number; readonly endOffset: number }
  readonly preferredReadReplica?: number
}

type Asked = {
  readonly rackId: string
  readonly topics: readonly {
    readonly partitions: readonly {
      readonly fetchOffset: number
      readonly currentLeaderEpoch: number
      readonly lastFetchedEpoch: number
    }[]
  }[]
}

type Request = {
  readonly request: Asked
  readonly done: (answer: object) => void
  readonly fail: (error: Error) => void
}

type ListAsked = {
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly timestamp: number }[]
  }[]
}

const nothing = {
  errorCode: 0,
  records: null,
  divergingEpoch: { epoch: -1, endOffset: -1 },
  preferredReadReplica: -1,
}

/** A client whose brokers answer when they are told to. */
class Brokers {
  readonly io = createSimIo(1).io
  /** By partition. */
  leaders: number[] = []
  leaderEpoch = 0
  /** What ListOffsets tells of every partition. */
  ends = { first: 0, end: 0 }
  nowMs = 0
  readonly #asked = new Map<number, Request>()
  readonly retryForMs = 1_000

  readonly client = {
    io: { ...this.io, monotonic: { nowMs: () => this.nowMs } },
    retryForMs: this.retryForMs,
    pause: async () => {},
    retrying: (attempt: () => Promise<void>) => attempt(),
    metadata: async () => ({
      topics: [
        {
          name: 'orders',
          topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
          errorCode: 0,
          partitions: this.leaders.map((leaderId, partitionIndex) => ({
            partitionIndex,
            leaderId,
            leaderEpoch: this.leaderEpoch,
          })),
        },
      ],
    }),
    connectionTo: async ({ brokerId }: { brokerId: number }) => ({
      request: (api: object, request: never) =>
        api === fetch
          ? new Promise<object>((done, fail) => this.#asked.set(brokerId, { request, done, fail }))
          : this.#listed(request),
    }),
  } as unknown as Client

  async #listed({ topics }: ListAsked): Promise<object> {
    const { first, end } = this.ends
    return {
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => ({
          ...{ partitionIndex, errorCode: 0, timestamp: -1 },
          offset: timestamp === OffsetSpec.earliest ? first : end,
        })),
      })),
    }
  }

  async #fetchOf(brokerId: number): Promise<Request> {
    for (;;) {
      const request = this.#asked.get(brokerId)
      this.#asked.delete(brokerId)
      if (request) return request
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** @returns what was asked */
  async answer(brokerId: number, partitions: readonly Answered[]): Promise<Asked> {
    const { request, done } = await this.#fetchOf(brokerId)
    const answered = partitions.map((each) => ({ ...nothing, ...each }))
    done({ responses: [{ topic: 'orders', partitions: answered }] })
    return request
  }

  async fail(brokerId: number): Promise<void> {
    const { fail } = await this.#fetchOf(brokerId)
    fail(new LmqError('LMQ_CONNECTION_CLOSED', { brokerId }))
  }
}

t.test('what a former leader gave is not given again by the next one', async (t) => {
  const brokers = new Brokers()
  brokers.leaders = [1, 2]
  const fetcher = new Fetcher(brokers.client)
  const places = [0, 1].map((partitionIndex) => ({ topic: 'orders', partitionIndex, offset: 0 }))
  fetcher.assign(places)
  const record = { key: null, value: Buffer.from('once'), timestamp: 1_000 }
  const records = () => buildBatch([record], {}, brokers.io.crc32c)
  // The first leader holds its answer back, while the second partition tells that leaders have changed.
  const first = fetcher.poll()
  await brokers.answer(2, [{ partitionIndex: 1, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER }])
  t.same(await first, [])
  brokers.leaders = [2, 2]
  const second = fetcher.poll()
  await brokers.answer(2, [{ partitionIndex: 0, records: records() }])
  await brokers.answer(1, [{ partitionIndex: 0, records: records() }])
  const values = (await second).map(({ value }) => String(value))
  t.same(values, ['once'])
  t.same(await fetcher.poll(), [], 'it was there already')
  t.same(
    fetcher.positions.map(({ offset }) => offset),
    [1, 0],
  )
})

const PLACE = { topic: 'orders', partitionIndex: 0, offset: 7 }
const { FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER } = ErrorCode
const { OFFSET_NOT_AVAILABLE, OFFSET_OUT_OF_RANGE } = ErrorCode

function setUp(options: FetcherOptions = {}) {
  const brokers = new Brokers()
  brokers.leaders = [1]
  brokers.leaderEpoch = 4
  const fetcher = new Fetcher(brokers.client, { reset: 'earliest', ...options })
  fetcher.assign([PLACE])
  /** One fetch, which this broker is to answer. */
  const poll = async (brokerId: number, answered: Omit<Answered, 'partitionIndex'>) => {
    const polling = fetcher.poll()
    const request = await brokers.answer(brokerId, [{ partitionIndex: 0, ...answered }])
    const records = (await polling).map(({ offset }) => offset)
    return { records, rackId: request.rackId, ...request.topics[0]?.partitions[0] }
  }
  const batch = (baseOffset: number, leaderEpoch: number) => {
    const record = { key: null, value: Buffer.from('x'), timestamp: 1_000 }
    return buildBatch([record], { baseOffset, leaderEpoch }, brokers.io.crc32c)
  }
  return { brokers, fetcher, poll, batch, at: () => fetcher.positions[0]?.offset }
}

t.test(
  'a fetch names the epoch of its leader, and asks who leads when that is wrong',
  async (t) => {
    const { brokers, poll, at } = setUp()
    t.match(await poll(1, {}), { currentLeaderEpoch: 4, lastFetchedEpoch: -1, fetchOffset: 7 })
    const passing = [
      ...[FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH],
      ...[NOT_LEADER_OR_FOLLOWER, OFFSET_NOT_AVAILABLE],
    ]
    for (const [times, errorCode] of passing.entries()) {
      await poll(1 + (times % 2), { errorCode })
      brokers.leaders = [1 + ((times + 1) % 2)]
      brokers.leaderEpoch = 5 + times
    }
    t.match(await poll(1, {}), { currentLeaderEpoch: 8, fetchOffset: 7 })
    t.equal(at(), 7)
  },
)

t.test('a position is given up only when it is not between the ends', async (t) => {
  const { brokers, poll, batch, at } = setUp()
  await poll(1, { records: batch(7, 4) })
  brokers.ends = { first: 3, end: 8 }
  t.match(await poll(1, { errorCode: OFFSET_OUT_OF_RANGE }), { lastFetchedEpoch: 4 })
  t.equal(at(), 8, 'it is there')
  t.match(await poll(1, {}), { fetchOffset: 8, lastFetchedEpoch: -1 })
  brokers.ends = { first: 9, end: 12 }
  await poll(1, { errorCode: OFFSET_OUT_OF_RANGE })
  t.equal(at(), 9)

  const strict = setUp({ reset: 'none' })
  strict.brokers.ends = { first: 9, end: 12 }
  await t.rejects(strict.poll(1, { errorCode: OFFSET_OUT_OF_RANGE }), /OFFSET_OUT_OF_RANGE/)
})

t.test('reading goes on where the log of a new leader parts from what was read', async (t) => {
  const { brokers, poll, batch, at } = setUp()
  t.same((await poll(1, { records: batch(7, 4) })).records, [7])
  brokers.leaderEpoch = 6
  t.match(await poll(1, { errorCode: FENCED_LEADER_EPOCH }), { lastFetchedEpoch: 4 })
  const asked = await poll(1, { divergingEpoch: { epoch: 3, endOffset: 5 } })
  t.match(asked, { currentLeaderEpoch: 6, lastFetchedEpoch: 4, fetchOffset: 8 })
  t.equal(at(), 5)
  t.match(await poll(1, {}), { lastFetchedEpoch: 3, fetchOffset: 5 })
})

t.test('a reader with a rack goes where the leader sends it, and back', async (t) => {
  const { poll, batch, at } = setUp({ rack: 'b' })
  t.match(await poll(1, { preferredReadReplica: 3 }), { rackId: 'b' })
  t.match(await poll(3, { records: batch(7, 4) }), { records: [7], currentLeaderEpoch: 4 })
  await poll(3, { errorCode: OFFSET_OUT_OF_RANGE })
  t.equal(at(), 8, 'the leader decides what is gone')
  await poll(1, { preferredReadReplica: 3 })
  await poll(3, { errorCode: NOT_LEADER_OR_FOLLOWER })
  await poll(1, { preferredReadReplica: 3 })
  t.same((await poll(3, { records: batch(8, 4) })).records, [8])
})

t.test('a nearer replica is left when it cannot be reached, and after a while', async (t) => {
  const { brokers, fetcher, poll } = setUp({ rack: 'b' })
  await poll(1, { preferredReadReplica: 3 })
  const polling = fetcher.poll()
  await brokers.fail(3)
  t.same(await polling, [])
  await poll(1, { preferredReadReplica: 3 })
  await poll(3, {})
  brokers.nowMs += 300_000
  await poll(1, {})
})
