/** What the state fuzz tests share: a broker, seeds that can be repeated, and how long they may look. */
import fc from 'fast-check'
import type { Test } from 'tap'
import { startBroker } from '../../src/index.ts'
import { fetch as fetchApi } from '../../src/protocol/apis/01-fetch.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import type { Api, RequestInput, ResponseOf } from '../../src/protocol/schema.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { RawClient } from '../unit/server/raw-client.ts'

const isLong = process.env['LMQ_LONG'] === '1'
/** The same stories in every ordinary run, new ones in a long one. */
const usualSeed = isLong ? Math.floor(Math.random() * 2 ** 31) : 20_261
export const seed = Number(process.env['LMQ_SEED'] ?? usualSeed)
/** Of one random story after the other; the ones that were begun are finished. */
export const lookMs = isLong ? 120_000 : process.env['LMQ_QUICK'] ? 2_000 : 9_000
const runs = Number(process.env['LMQ_TEST_RUNS'] ?? (isLong ? 3_000 : 150))
/** An answer that has not come by then does not come. */
const PATIENCE_MS = 20_000

const foreignPort = process.env['LMQ_FUZZ_PORT']
export const isForeign = foreignPort !== undefined

/** A broker of this process, or, with LMQ_FUZZ_PORT, another one: a real Kafka shows whether the model is right. */
export async function openPort(t: Test, settings: Record<string, string> = {}): Promise<number> {
  if (foreignPort) return Number(foreignPort)
  const broker = await startBroker({
    port: 0,
    httpPort: -1,
    ephemeral: true,
    settings: { 'group.initial.rebalance.delay.ms': '0', ...settings },
  })
  t.teardown(() => broker.stop())
  return Number(broker.bootstrap.split(':').at(-1))
}

/** Plays random stories until one is wrong, all are played, or the time is over. */
export async function playStories<Story>(
  t: Test,
  stories: fc.Arbitrary<Story>,
  play: (story: Story) => Promise<void>,
): Promise<void> {
  let played = 0
  const property = fc.asyncProperty(stories, async (story) => {
    await play(story)
    played++
  })
  try {
    await fc.assert(property, {
      seed,
      numRuns: runs,
      interruptAfterTimeLimit: lookMs,
      markInterruptAsFailure: false,
    })
    t.ok(played > 0, `${played} stories, seed ${seed}`)
  } catch (error) {
    const { message, cause } = error as Error
    t.fail(`repeat with LMQ_SEED=${seed}: ${message}\n${String(cause)}`)
  }
}

export function patiently<Value>(promise: Promise<Value>, what: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer: ${what}`)), PATIENCE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export function expect(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`)
}

/** Asks until the answer is right: brokers may show a change a moment after it was acknowledged. */
export async function eventually(look: () => Promise<string | undefined>): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS
  for (;;) {
    const wrong = await look()
    if (wrong === undefined) return
    if (performance.now() > untilMs) throw new Error(wrong)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export async function createTopic(client: RawClient, name: string, partitions: number) {
  const answer = await ask(client, createTopics, 7, {
    topics: [
      {
        name,
        numPartitions: partitions,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: 'retention.ms', value: '-1' }],
      },
    ],
    timeoutMs: 30_000,
    validateOnly: false,
  })
  const [topic] = answer.topics
  expect(topic?.errorCode, 0, `${name} is made`)
  await untilAnswered(client, name, partitions, ErrorCode.NONE)
  return topic?.topicId ?? ''
}

export const fetchLimits = { maxWaitMs: 0, minBytes: 1, maxBytes: 50_000_000 }
export const fetchWish = (partition: number, fetchOffset: number) => ({
  partition,
  fetchOffset,
  partitionMaxBytes: 1 << 20,
})

/** Waits until all partitions of a topic are answered with this code. */
export function untilAnswered(
  client: RawClient,
  name: string,
  partitions: number,
  wanted: ErrorCode,
): Promise<void> {
  return eventually(async () => {
    for (let partition = 0; partition < partitions; partition++) {
      const answer = await ask(client, fetchApi, 12, {
        ...fetchLimits,
        sessionEpoch: -1,
        topics: [{ topic: name, topicId: ZERO_UUID, partitions: [fetchWish(partition, 0)] }],
        forgottenTopicsData: [],
      })
      const code = answer.responses[0]?.partitions[0]?.errorCode
      if (code !== wanted) return `${name} is answered with ${code}, not ${wanted}`
    }
    return undefined
  })
}

export const ask = <A extends Api>(
  client: RawClient,
  api: A,
  version: number,
  request: RequestInput<A>,
): Promise<ResponseOf<A>> => patiently(client.ask(api, version, request), `${api.name} v${version}`)

/** Connections that are used again by one story after the other. */
export class Connections {
  readonly #port: number
  readonly #free: RawClient[] = []

  constructor(port: number) {
    this.#port = port
  }

  async take(): Promise<RawClient> {
    return this.#free.pop() ?? (await RawClient.connect(this.#port))
  }

  giveBack(client: RawClient): void {
    if (!client.ended) this.#free.push(client)
  }

  close(): void {
    for (const client of this.#free) client.close()
  }
}
