// Goal: clients ride through the death of any broker: what was acknowledged with acks=all is read back, once and in
// order, and a group goes on where it was. Method: kafkajs against a cluster in this process, one broker killed while
// it produces and consumes. One record per request: kafkajs loses those of a request whose partitions move to one broker.
import { createRequire } from 'node:module'
import type { Kafka as KafkaClient } from 'kafkajs'
import t, { type Test } from 'tap'
import { type RunningCluster, startCluster } from '../../src/index.ts'

const { Kafka, logLevel } = createRequire(import.meta.url)('kafkajs') as typeof import('kafkajs')

t.setTimeout(170_000)

const TOPIC = 'orders'
const PARTITIONS = 3

async function start(t: Test): Promise<{ cluster: RunningCluster; kafka: KafkaClient }> {
  const cluster = await startCluster({ brokers: 3 })
  t.teardown(() => cluster.stop())
  const kafka = new Kafka({
    clientId: 'test',
    brokers: cluster.bootstrap.split(','),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 20, maxRetryTime: 300, retries: 60 },
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic: TOPIC, numPartitions: PARTITIONS, replicationFactor: 2 }],
  })
  await admin.disconnect()
  return { cluster, kafka }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** One sender for each partition, each value after the one before is acknowledged. */
class Senders {
  readonly acknowledged: string[][] = Array.from({ length: PARTITIONS }, () => [])
  #stopped = false
  readonly #running: Promise<void>[] = []

  async start(t: Test, kafka: KafkaClient): Promise<void> {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    t.teardown(() => producer.disconnect())
    for (let partition = 0; partition < PARTITIONS; partition++) {
      this.#running.push(this.#send(producer, partition))
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  get count(): number {
    return this.acknowledged.reduce((sum, each) => sum + each.length, 0)
  }

  async #send(producer: ReturnType<KafkaClient['producer']>, partition: number): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const value = `${partition}-${i}`
      await producer.send({ topic: TOPIC, acks: -1, messages: [{ partition, value }] })
      this.acknowledged[partition]?.push(value)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

/** A group member that notes what it reads. */
async function consume(t: Test, kafka: KafkaClient, groupId: string) {
  const read: string[][] = Array.from({ length: PARTITIONS }, () => [])
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 200,
  })
  await consumer.connect()
  t.teardown(() => consumer.disconnect())
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 100,
    async eachMessage({ partition, message }) {
      read[partition]?.push(String(message.value))
    },
  })
  return read
}

function checkAll(t: Test, acknowledged: string[][], read: string[][]): void {
  for (const [partition, values] of acknowledged.entries()) {
    const found = read[partition] ?? []
    const seen = new Set(found)
    t.same(
      values.filter((value) => !seen.has(value)),
      [],
      `partition ${partition}: nothing acknowledged is lost`,
    )
    const firstReads = [...seen]
    t.same(
      firstReads,
      [...firstReads].sort((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1])),
      `partition ${partition}: in order`,
    )
  }
}

async function lives(t: Test, victimOf: (cluster: RunningCluster) => Promise<number>) {
  const { cluster, kafka } = await start(t)
  const senders = new Senders()
  await senders.start(t, kafka)
  const read = await consume(t, kafka, 'group')
  const total = () => new Set(read.flat()).size
  await until('records are read', () => total() > 100)

  const victim = await victimOf(cluster)
  await cluster.kill(victim)
  const before = senders.acknowledged.map(({ length }) => length)
  await until('every partition goes on', () =>
    senders.acknowledged.every(({ length }, at) => length > (before[at] ?? 0) + 20),
  )
  await cluster.restart(victim)
  const admin = kafka.admin()
  await admin.connect()
  t.teardown(() => admin.disconnect())
  await until('all replicas are in sync again', async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] })
    return topics[0]?.partitions.every(({ isr }) => isr.length === 2) === true
  })
  await senders.stop()
  await until('all is read', () => total() >= senders.count)
  checkAll(t, senders.acknowledged, read)

  const again = await consume(t, kafka, 'another-group')
  await until('all is read again', () => new Set(again.flat()).size >= senders.count)
  checkAll(t, senders.acknowledged, again)
  for (const values of again) t.equal(new Set(values).size, values.length, 'each record once')
}

t.test('the controller dies', (t) => lives(t, (cluster) => cluster.controllerId()))

t.test('a broker dies that is not the controller', (t) =>
  lives(t, async (cluster) => {
    const controllerId = await cluster.controllerId()
    return cluster.brokers.find(({ brokerId }) => brokerId !== controllerId)?.brokerId ?? -1
  }),
)
