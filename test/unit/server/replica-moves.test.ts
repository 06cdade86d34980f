// Goal: AlterReplicaLogDirs moves a replica that is used, and DescribeLogDirs tells how far it is (KIP-113).
// Method: a broker of two folders; moves are slowed down so far that they can be watched.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t from 'tap'
import { startBroker } from '../../../src/index.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { createTopics } from '../../../src/protocol/apis/19-create-topics.ts'
import { alterReplicaLogDirs } from '../../../src/protocol/apis/34-alter-replica-log-dirs.ts'
import { describeLogDirs } from '../../../src/protocol/apis/35-describe-log-dirs.ts'
import { incrementalAlterConfigs } from '../../../src/protocol/apis/44-incremental-alter-configs.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { RawClient } from './raw-client.ts'
import { batch, record } from './stories/batches.ts'

const RATE = 'replica.alter.log.dirs.io.max.bytes.per.second'

t.test('a replica moves between folders', { timeout: 120_000 }, async (t) => {
  const folders = [1, 2].map(() => fs.mkdtempSync(path.join(os.tmpdir(), 'lmq-moves-')))
  const broker = await startBroker({
    port: 0,
    httpPort: -1,
    settings: { 'log.dirs': folders.join() },
  })
  t.teardown(async () => {
    await broker.stop()
    for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true })
  })
  const client = await RawClient.connect(Number(broker.bootstrap.split(':').at(-1)))
  t.teardown(() => client.close())
  const limit = (bytesPerSecond: number) =>
    client.ask(incrementalAlterConfigs, 1, {
      resources: [
        {
          resourceType: 4,
          resourceName: '',
          configs: [{ name: RATE, configOperation: 0, value: String(bytesPerSecond) }],
        },
      ],
      validateOnly: false,
    })
  const look = async () => {
    const topics = [{ topic: 'moving', partitions: [0] }]
    const { results } = await client.ask(describeLogDirs, 4, { topics })
    return results.flatMap(({ logDir, topics: found }) =>
      found.flatMap(({ partitions }) => partitions.map((one) => ({ logDir, ...one }))),
    )
  }
  const move = async (to: string) => {
    const dirs = [{ path: to, topics: [{ name: 'moving', partitions: [0] }] }]
    const { results } = await client.ask(alterReplicaLogDirs, 2, { dirs })
    t.match(results, [{ topicName: 'moving', partitions: [{ errorCode: 0 }] }])
  }
  const send = (count: number) =>
    client.ask(produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 10_000,
      topicData: [
        {
          name: 'moving',
          topicId: ZERO_UUID,
          partitionData: [
            { index: 0, records: batch(Array(count).fill(record('x'.repeat(1000)))) },
          ],
        },
      ],
    })

  await client.ask(createTopics, 7, {
    topics: [
      {
        name: 'moving',
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [
          { name: 'segment.bytes', value: '1048576' },
          { name: 'retention.ms', value: '-1' },
        ],
      },
    ],
    timeoutMs: 10_000,
    validateOnly: false,
  })
  for (let i = 0; i < 8; i++) await send(500)
  await limit(1_000_000)
  const [at] = await look()
  const from = at?.logDir ?? ''
  const to = folders.find((folder) => folder !== from) ?? ''
  await move(to)

  let seen = await look()
  while (!seen.some(({ isFutureKey, partitionSize }) => isFutureKey && partitionSize > 0)) {
    seen = await look()
  }
  const future = seen.find(({ isFutureKey }) => isFutureKey)
  t.equal(future?.logDir, to)
  t.ok((future?.offsetLag ?? 0) > 0)
  t.match(
    seen.find(({ isFutureKey }) => !isFutureKey),
    { logDir: from, offsetLag: 0 },
  )
  await send(1)

  await limit(1_000_000_000)
  while (seen.length > 1 || seen[0]?.logDir !== to) seen = await look()
  t.match(seen, [{ logDir: to, offsetLag: 0, isFutureKey: false }])
  await send(1)
  const fetched = await client.ask(fetch, 12, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 50_000_000,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [
      {
        topic: 'moving',
        partitions: [
          { partition: 0, fetchOffset: 4000, partitionMaxBytes: 50_000_000, logStartOffset: -1 },
        ],
      },
    ],
    forgottenTopicsData: [],
  } as never)
  t.match(fetched.responses, [{ partitions: [{ errorCode: 0, highWatermark: 4002 }] }])
})
