// Goal: over real sockets and files, what three brokers acknowledge with acks=all survives the death of any of them.
import t, { type Test } from 'tap'
import { type RunningCluster, startCluster } from '../../../src/index.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { createTopics } from '../../../src/protocol/apis/19-create-topics.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { newRecordPlace, nextRecord, readRecord } from '../../../src/protocol/record.ts'
import {
  BATCH_HEADER_BYTES,
  batchSizeOf,
  recordCountOf,
} from '../../../src/protocol/record-batch.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { VarintCursor } from '../../../src/protocol/varint.ts'
import { RawClient } from '../server/raw-client.ts'

const TOPIC = 'orders'
const PARTITIONS = 4

/** Talks to whichever broker leads, as any client does. */
class LeaderClient {
  readonly #cluster: RunningCluster
  readonly #clients = new Map<number, RawClient>()

  constructor(cluster: RunningCluster) {
    this.#cluster = cluster
  }

  async of(brokerId: number): Promise<RawClient> {
    let client = this.#clients.get(brokerId)
    if (!client) {
      const broker = this.#cluster.brokers.find((each) => each.brokerId === brokerId)
      if (!broker) throw new Error(`broker ${brokerId} does not run`)
      client = await RawClient.connect(Number(broker.bootstrap.split(':').at(-1)))
      this.#clients.set(brokerId, client)
    }
    return client
  }

  /** From whichever broker answers. */
  async partitions() {
    const endMs = performance.now() + 30_000
    for (;;) {
      for (const { brokerId } of this.#cluster.brokers) {
        try {
          return await this.#partitionsFrom(brokerId)
        } catch {
          this.#forget(brokerId)
        }
      }
      if (performance.now() > endMs) throw new Error('no broker tells who leads')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async #partitionsFrom(brokerId: number) {
    const client = await this.of(brokerId)
    const answer = await client.ask(metadata, 12, {
      topics: [{ name: TOPIC, topicId: ZERO_UUID }],
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
      includeClusterAuthorizedOperations: false,
    })
    const list = answer.topics[0]?.partitions ?? []
    return [...list].sort((a, b) => a.partitionIndex - b.partitionIndex)
  }

  /** Until it is acknowledged; time and again the same, as a producer without idempotence does. */
  async send(partitionIndex: number, value: string): Promise<void> {
    const endMs = performance.now() + 30_000
    for (;;) {
      const leader = (await this.partitions())[partitionIndex]?.leaderId ?? -1
      try {
        const client = await this.of(leader)
        const records = buildBatch(
          [{ key: null, value: Buffer.from(value), timestamp: 1_000 }],
          {},
          crc32c,
        )
        const answer = await client.ask(produce, 9, {
          transactionalId: null,
          acks: -1,
          timeoutMs: 2_000,
          topicData: [
            {
              name: TOPIC,
              topicId: ZERO_UUID,
              partitionData: [{ index: partitionIndex, records }],
            },
          ],
        })
        const code = answer.responses[0]?.partitionResponses[0]?.errorCode
        if (code === ErrorCode.NONE) return
      } catch {
        this.#forget(leader)
      }
      if (performance.now() > endMs) throw new Error(`${value} is not acknowledged`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async read(partitionIndex: number): Promise<string[]> {
    const leader = (await this.partitions())[partitionIndex]?.leaderId ?? -1
    const client = await this.of(leader)
    const values: string[] = []
    for (let fetchOffset = 0; ; ) {
      const answer = await client.ask(fetch, 12, {
        maxWaitMs: 0,
        minBytes: 0,
        maxBytes: 1_000_000,
        topics: [
          {
            topic: TOPIC,
            topicId: ZERO_UUID,
            partitions: [{ partition: partitionIndex, fetchOffset, partitionMaxBytes: 1_000_000 }],
          },
        ],
        forgottenTopicsData: [],
      })
      const { errorCode, records } = answer.responses[0]?.partitions[0] ?? {}
      if (errorCode !== ErrorCode.NONE) throw new Error(`fetch gives ${errorCode}`)
      if (!records || records.length === 0) return values
      for (const value of valuesIn(records)) values.push(value)
      fetchOffset = values.length
    }
  }

  #forget(brokerId: number): void {
    this.#clients.get(brokerId)?.close()
    this.#clients.delete(brokerId)
  }

  close(): void {
    for (const brokerId of [...this.#clients.keys()]) this.#forget(brokerId)
  }
}

function* valuesIn(records: Buffer): Iterable<string> {
  for (let at = 0; at < records.length; at += batchSizeOf(records, at)) {
    const cursor = new VarintCursor(records, at + BATCH_HEADER_BYTES, at + batchSizeOf(records, at))
    const place = newRecordPlace()
    for (let i = 0; i < recordCountOf(records, at); i++) {
      nextRecord(cursor, place)
      yield readRecord(records, place).value?.toString() ?? ''
    }
  }
}

async function open(t: Test, configs: { name: string; value: string }[] = []) {
  const cluster = await startCluster({ brokers: 3 })
  const client = new LeaderClient(cluster)
  t.teardown(async () => {
    client.close()
    await cluster.stop()
  })
  const made = await (await client.of(1)).ask(createTopics, 7, {
    topics: [
      { name: TOPIC, numPartitions: PARTITIONS, replicationFactor: 3, assignments: [], configs },
    ],
    timeoutMs: 10_000,
    validateOnly: false,
  })
  t.equal(made.topics[0]?.errorCode, ErrorCode.NONE)
  return { cluster, client }
}

async function inSync(client: LeaderClient): Promise<void> {
  const endMs = performance.now() + 30_000
  for (;;) {
    if ((await client.partitions()).every(({ isrNodes }) => isrNodes.length === 3)) return
    if (performance.now() > endMs) throw new Error('not all replicas come into sync')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

for (const configs of [[], [{ name: 'flush.messages', value: '1' }]]) {
  const how = configs.length > 0 ? 'durable' : 'written'
  t.test(`each broker dies once while producers go on (${how})`, async (t) => {
    const { cluster, client } = await open(t, configs)
    const sent: string[][] = Array.from({ length: PARTITIONS }, () => [])
    let goesOn = true
    const producers = sent.map(async (values, partitionIndex) => {
      for (let i = 0; goesOn; i++) {
        const value = `${partitionIndex}-${i}`
        await client.send(partitionIndex, value)
        values.push(value)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })
    for (const brokerId of [1, 2, 3]) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      if (brokerId === 2) await cluster.stopBroker(brokerId)
      else await cluster.kill(brokerId)
      await new Promise((resolve) => setTimeout(resolve, 300))
      await cluster.restart(brokerId)
      await inSync(client)
    }
    goesOn = false
    await Promise.all(producers)
    for (const [partitionIndex, values] of sent.entries()) {
      const read = await client.read(partitionIndex)
      t.ok(values.length > 5, `${values.length} were acknowledged`)
      const once = [...new Set(read)]
      t.same(once, values, 'all of it, in order')
    }
  })
}
