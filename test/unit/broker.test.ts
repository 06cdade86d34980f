// Goal: a broker starts and stops in this process, several times and beside others, and keeps its data.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Logger, silentLogger } from '../../src/base/logger.ts'
import { VERSION } from '../../src/base/version.ts'
import { startBroker } from '../../src/index.ts'
import { crc32c } from '../../src/io/crc32c.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { initProducerId } from '../../src/protocol/apis/22-init-producer-id.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { repositoryRoot } from '../tools/repository-root.ts'
import { RawClient } from './server/raw-client.ts'

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lmq-broker-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const portOf = (broker: { bootstrap: string }) => Number(broker.bootstrap.split(':').at(-1))

async function append(port: number, topic: string): Promise<number> {
  const client = await RawClient.connect(port)
  try {
    await client.ask(metadata, 9, {
      topics: [{ name: topic, topicId: ZERO_UUID }],
      allowAutoTopicCreation: true,
      includeTopicAuthorizedOperations: false,
      includeClusterAuthorizedOperations: false,
    })
    const record = { key: null, value: Buffer.from('x'), timestamp: Date.now() }
    const answer = await client.ask(produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 5000,
      topicData: [
        {
          name: topic,
          topicId: ZERO_UUID,
          partitionData: [{ index: 0, records: buildBatch([record], {}, crc32c) }],
        },
      ],
    })
    return answer.responses[0]?.partitionResponses[0]?.baseOffset ?? -1
  } finally {
    client.close()
  }
}

t.test('a broker keeps its data, its cluster and its place over a restart', async (t) => {
  const dataDir = await temporaryFolder(t)
  const first = await startBroker({ port: 0, httpPort: -1, dataDir })
  t.equal(await append(portOf(first), 'a'), 0)
  t.equal(await append(portOf(first), 'a'), 1)
  await first.stop()
  await first.stop()
  const second = await startBroker({ port: 0, httpPort: -1, dataDir })
  t.teardown(() => second.stop())
  t.equal(second.clusterId, first.clusterId)
  t.equal(second.dataDir, dataDir)
  t.equal(await append(portOf(second), 'a'), 2)
})

t.test('two brokers in one process do not know of each other', async (t) => {
  const [one, other] = await Promise.all([startBroker({ port: 0 }), startBroker({ port: 0 })])
  t.teardown(() => Promise.all([one.stop(), other.stop()]))
  t.not(one.clusterId, other.clusterId)
  t.not(one.bootstrap, other.bootstrap)
  t.not(one.httpAddress, other.httpAddress)
  t.equal(await append(portOf(one), 'a'), 0)
  t.equal(await append(portOf(other), 'a'), 0)
})

t.test('a temporary folder goes with its broker', async (t) => {
  const broker = await startBroker({ port: 0, httpPort: -1 })
  t.equal(broker.isEphemeral, true)
  await append(portOf(broker), 'a')
  await broker.stop()
  await t.rejects(stat(broker.dataDir))
})

t.test('a taken port or folder is told, and nothing is left behind', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const dataDir = await temporaryFolder(t)
  await t.rejects(startBroker({ port, httpPort: -1, dataDir }), { code: 'LMQ_PORT_TAKEN' })
  await t.rejects(startBroker({ port: 0, httpPort: port, dataDir }), { code: 'LMQ_PORT_TAKEN' })
  const broker = await startBroker({ port: 0, httpPort: -1, dataDir })
  t.teardown(() => broker.stop())
  await t.rejects(startBroker({ port: 0, httpPort: -1, dataDir }), { code: 'LMQ_LOG_DIR_TAKEN' })
  await t.rejects(startBroker({ settings: { 'num.partitons': '3' } }), {
    code: 'LMQ_CONFIG_UNKNOWN',
  })
})

t.test('several listeners are told apart, each with its own address', async (t) => {
  const broker = await startBroker({
    httpPort: -1,
    settings: {
      listeners: 'PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.1:0',
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT',
      'advertised.listeners': 'PLAINTEXT://127.0.0.1:0,OTHER://localhost:0',
    },
  })
  t.teardown(() => broker.stop())
  t.equal(broker.listeners.length, 2)
  for (const { host, port } of broker.listeners) {
    const client = await RawClient.connect(port)
    const answer = await client.ask(metadata, 9, {
      topics: null,
      includeTopicAuthorizedOperations: false,
      includeClusterAuthorizedOperations: false,
    })
    t.match(answer.brokers, [{ host, port }])
    client.close()
  }
})

t.test('producer ids are never given twice, over restarts', async (t) => {
  const dataDir = await temporaryFolder(t)
  const seen = new Set<number>()
  for (let run = 0; run < 3; run++) {
    const broker = await startBroker({ port: 0, httpPort: -1, dataDir })
    const client = await RawClient.connect(portOf(broker))
    for (let i = 0; i < 5; i++) {
      const request = { transactionalId: null, transactionTimeoutMs: 1000 }
      const { producerId, errorCode } = await client.ask(initProducerId, 4, request)
      t.equal(errorCode, 0)
      t.notOk(seen.has(producerId))
      seen.add(producerId)
    }
    client.close()
    await broker.stop()
  }
})

t.test('health and metrics are served on the HTTP port', async (t) => {
  const broker = await startBroker({ port: 0 })
  t.teardown(() => broker.stop())
  await append(portOf(broker), 'a')
  const health = (await (await fetch(`${broker.httpAddress}/healthz`)).json()) as object
  t.match(health, { status: 'ok', clusterId: broker.clusterId, brokerId: 1, version: VERSION })
  const text = await (await fetch(`${broker.httpAddress}/metrics`)).text()
  for (const line of [
    'kafka_server_brokertopicmetrics_messagesin_total{topic="a"} 1',
    'kafka_server_replicamanager_partitioncount 1',
    'kafka_server_replicamanager_leadercount 1',
    'kafka_server_replicamanager_underreplicatedpartitions 0',
    'kafka_controller_kafkacontroller_activecontrollercount 1',
    'kafka_network_requestmetrics_requests_total{request="Produce"} 1',
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
})

t.test('the version is that of the package', async (t) => {
  const text = await readFile(join(repositoryRoot(import.meta.url), 'package.json'), 'utf8')
  t.equal(VERSION, (JSON.parse(text) as { version: string }).version)
})

t.test('a start can be ended, and leaves nothing behind', async (t) => {
  const dataDir = await temporaryFolder(t)
  const stop = new AbortController()
  const starting = startBroker({ port: 0, httpPort: -1, dataDir, signal: stop.signal })
  stop.abort()
  await t.rejects(starting, { code: 'LMQ_SHUTTING_DOWN' })
  const broker = await startBroker({ port: 0, httpPort: -1, dataDir })
  t.equal(await append(portOf(broker), 'a'), 0)
  await broker.stop()
})

t.test('a broker of a test takes a free port when nothing says where', async (t) => {
  const [one, other] = await Promise.all([startBroker(), startBroker()])
  t.teardown(() => Promise.all([one.stop(), other.stop()]))
  t.not(portOf(one), 9092)
  t.not(portOf(one), portOf(other))
  const settings = { listeners: `PLAINTEXT://127.0.0.1:${portOf(one)}` }
  await t.rejects(startBroker({ settings, httpPort: -1 }), { code: 'LMQ_PORT_TAKEN' })
})

t.test('clients that are told a name which nobody knows: one line says so', async (t) => {
  const warned: { facts: object; message: string }[] = []
  let note = () => {}
  const told = new Promise<void>((resolve) => {
    note = resolve
  })
  const logger: Logger = {
    ...silentLogger,
    warn: (facts, message) => {
      warned.push({ facts, message })
      note()
    },
  }
  const host = 'no-such-host.invalid'
  const settings = { listeners: 'PLAINTEXT://:0', 'advertised.listeners': `PLAINTEXT://${host}:0` }
  const broker = await startBroker({ settings, httpPort: -1, logger })
  t.teardown(() => broker.stop())
  await told
  t.match(warned, [{ facts: { host }, message: /cannot resolve: set advertised.listeners/ }])
  t.equal(warned.length, 1)
})
