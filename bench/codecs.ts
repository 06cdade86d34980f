// CPU time that decoding and encoding of the hot messages take, alone: no socket, no disk.
//
//   node --import tsx bench/codecs.ts [MILLISECONDS_PER_ROW]

import { produce } from '../src/protocol/apis/00-produce.ts'
import { fetch } from '../src/protocol/apis/01-fetch.ts'
import { metadata } from '../src/protocol/apis/03-metadata.ts'
import { heartbeat } from '../src/protocol/apis/12-heartbeat.ts'
import type { Fields, InputsOf, Message } from '../src/protocol/schema.ts'
import { Writer } from '../src/protocol/writer.ts'

const budgetMs = Number(process.argv[2] ?? 400)

function measure(name: string, run: () => void): void {
  for (let i = 0; i < 3000; i++) run()
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    const before = process.cpuUsage()
    let count = 0
    let elapsed = 0
    do {
      for (let i = 0; i < 200; i++) run()
      count += 200
      const used = process.cpuUsage(before)
      elapsed = (used.user + used.system) * 1000
    } while (elapsed < (budgetMs * 1e6) / 5)
    best = Math.min(best, elapsed / count)
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(0).padStart(7)} ns`)
}

function both<F extends Fields>(
  name: string,
  message: Message<F>,
  version: number,
  value: InputsOf<F>,
): void {
  const bytes = Buffer.from(message.encode(value, version))
  measure(`${name} v${version} decode (${bytes.length} B)`, () => message.decode(bytes, version))
  measure(`${name} v${version} encode`, () => {
    const writer = new Writer()
    message.write(writer, value, version)
    writer.finish()
  })
}

const batch = Buffer.alloc(1100, 1)
const topicId = 'abcdefghijklmnopqrstuA'

const produceTopics = (count: number, partitions: number) =>
  Array.from({ length: count }, (_, i) => ({
    name: `topic-${i}`,
    topicId,
    partitionData: Array.from({ length: partitions }, (_, index) => ({ index, records: batch })),
  }))
const produceRequest = { acks: -1, timeoutMs: 30000, transactionalId: null }
both('Produce request, 1 partition', produce.request, 9, {
  ...produceRequest,
  topicData: produceTopics(1, 1),
})
both('Produce request, 1 partition', produce.request, 7, {
  ...produceRequest,
  topicData: produceTopics(1, 1),
})
both('Produce request, 4x8 partitions', produce.request, 9, {
  ...produceRequest,
  topicData: produceTopics(4, 8),
})
const produced = (count: number) => ({
  responses: [
    {
      name: 'topic-1',
      topicId,
      partitionResponses: Array.from({ length: count }, (_, index) => ({
        index,
        errorCode: 0,
        baseOffset: 123456 + index,
        logAppendTimeMs: -1,
        logStartOffset: 0,
        recordErrors: [],
        errorMessage: null,
      })),
    },
  ],
})
both('Produce response, 1 partition', produce.response, 9, produced(1))
both('Produce response, 32 partitions', produce.response, 9, produced(32))

const fetchRequest = (partitions: number) => ({
  maxWaitMs: 500,
  minBytes: 1,
  topics:
    partitions === 0
      ? []
      : [
          {
            topic: '',
            topicId,
            partitions: Array.from({ length: partitions }, (_, partition) => ({
              partition,
              currentLeaderEpoch: 3,
              fetchOffset: 5_000_000_000 + partition,
              partitionMaxBytes: 1048576,
            })),
          },
        ],
  forgottenTopicsData: [],
})
both('Fetch request, session, 0 partitions', fetch.request, 17, fetchRequest(0))
both('Fetch request, 1 partition', fetch.request, 17, fetchRequest(1))
both('Fetch request, 100 partitions', fetch.request, 17, fetchRequest(100))
const fetched = (partitions: number) => ({
  errorCode: 0,
  responses: [
    {
      topic: '',
      topicId,
      partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
        partitionIndex,
        errorCode: 0,
        highWatermark: 5_000_000_000,
        lastStableOffset: 5_000_000_000,
        logStartOffset: 0,
        abortedTransactions: null,
        records: batch,
      })),
    },
  ],
})
both('Fetch response, 1 partition', fetch.response, 17, fetched(1))
both('Fetch response, 32 partitions', fetch.response, 17, fetched(32))

both('Heartbeat request', heartbeat.request, 4, {
  groupId: 'a-group-of-consumers',
  generationId: 12,
  memberId: 'consumer-1-2b0d7c3e-5a44-4a0e-9f0a-3c3b3a2b1c0d',
})
both('Heartbeat response', heartbeat.response, 4, { errorCode: 0 })

both('Metadata response, 10 topics x 10', metadata.response, 12, {
  brokers: [{ nodeId: 1, host: 'localhost', port: 9092, rack: null }],
  clusterId: 'abcdefghijklmnopqrstuv',
  controllerId: 1,
  topics: Array.from({ length: 10 }, (_, i) => ({
    errorCode: 0,
    name: `topic-${i}`,
    topicId,
    isInternal: false,
    partitions: Array.from({ length: 10 }, (_, partitionIndex) => ({
      errorCode: 0,
      partitionIndex,
      leaderId: 1,
      leaderEpoch: 0,
      replicaNodes: [1],
      isrNodes: [1],
      offlineReplicas: [],
    })),
  })),
} as never)
