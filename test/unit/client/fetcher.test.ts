// Goal: a record comes once, whichever leaders answer, and in whatever order.
import t from 'tap'
import type { Client } from '../../../src/client/client.ts'
import { Fetcher } from '../../../src/client/fetcher.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'

type Answered = { readonly partitionIndex: number; readonly errorCode?: number; records?: Buffer }

/** A client whose brokers answer when they are told to. */
class Brokers {
  readonly io = createSimIo(1).io
  /** By partition. */
  leaders: number[] = []
  readonly #asked = new Map<number, (answer: object) => void>()
  readonly retryForMs = 1_000

  readonly client = {
    io: this.io,
    retryForMs: this.retryForMs,
    pause: async () => {},
    metadata: async () => ({
      topics: [
        {
          name: 'orders',
          errorCode: 0,
          partitions: this.leaders.map((leaderId, partitionIndex) => ({
            partitionIndex,
            leaderId,
          })),
        },
      ],
    }),
    connectionTo: async ({ brokerId }: { brokerId: number }) => ({
      request: () => new Promise<object>((resolve) => this.#asked.set(brokerId, resolve)),
    }),
  } as unknown as Client

  async answer(brokerId: number, partitions: readonly Answered[]): Promise<void> {
    while (!this.#asked.has(brokerId)) await new Promise((resolve) => setImmediate(resolve))
    const answered = partitions.map((each) => ({ errorCode: 0, records: null, ...each }))
    this.#asked.get(brokerId)?.({ responses: [{ topic: 'orders', partitions: answered }] })
    this.#asked.delete(brokerId)
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
