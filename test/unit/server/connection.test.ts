// Goal: what a peer can do to a connection, seen from the socket: order, halves, garbage, limits, memory.
// Method: the real listener over TCP with handlers that the test holds in its hand.

import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { heartbeat } from '../../../src/protocol/apis/12-heartbeat.ts'
import { apiVersions } from '../../../src/protocol/apis/18-api-versions.ts'
import type { ResponseInput } from '../../../src/protocol/schema.ts'
import { ApiTable } from '../../../src/server/api-table.ts'
import { ConnectionLimits } from '../../../src/server/connection-limits.ts'
import { defineDirectHandler, defineHandler, type Reply } from '../../../src/server/handler.ts'
import { apiVersionsHandler } from '../../../src/server/handlers/18-api-versions.ts'
import { RawClient } from './raw-client.ts'
import { openTestListener, until } from './test-listener.ts'

type ProduceReply = Reply<typeof produce>

/** A Produce handler that answers when the test says so. */
function heldProduce() {
  const held: { acks: number; reply: ProduceReply }[] = []
  const handler = defineDirectHandler({
    api: produce,
    versions: '3-13',
    advertised: '0-13',
    requires: 'none',
    start: (request, _context, reply) => {
      held.push({ acks: request.acks, reply })
    },
    refuse: () => ({ responses: [] }),
  })
  return { held, handler }
}

const metadataAnswer: ResponseInput<typeof metadata> = {
  brokers: [],
  topics: [],
  clusterId: 'c',
  errorCode: 0,
}

function countingMetadata() {
  const seen: string[] = []
  const handler = defineHandler({
    api: metadata,
    versions: '0-13',
    requires: 'none',
    serve: (_request, { clientId }) => {
      seen.push(clientId)
      return metadataAnswer
    },
    refuse: (_request, errorCode) => ({ ...metadataAnswer, errorCode }),
  })
  return { seen, handler }
}

const produceFrame = (correlationId: number, acks = 1) =>
  RawClient.frame(
    produce,
    7,
    { transactionalId: null, acks, timeoutMs: 1000, topicData: [] },
    { correlationId },
  )
const largeProduceFrame = (correlationId: number) =>
  RawClient.frame(
    produce,
    7,
    {
      transactionalId: null,
      acks: 1,
      timeoutMs: 1000,
      topicData: [
        {
          name: 'a',
          topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
          partitionData: [{ index: 0, records: Buffer.alloc(1_200_000) }],
        },
      ],
    },
    { correlationId },
  )
const metadataFrame = (correlationId: number, clientId: string | null = 'test') =>
  RawClient.frame(
    metadata,
    4,
    {
      topics: [],
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    },
    { correlationId, clientId },
  )

t.test('Produces overlap, answers leave in order, others wait for them', async (t) => {
  const { held, handler } = heldProduce()
  const { seen, handler: metadataHandler } = countingMetadata()
  const { connect } = await openTestListener(t, [handler, metadataHandler])
  const client = await connect()
  client.socket.write(
    Buffer.concat([
      produceFrame(1),
      produceFrame(2),
      produceFrame(3),
      metadataFrame(4),
      produceFrame(5),
    ]),
  )
  await until(() => held.length === 3, 'three Produces at work')
  t.equal(seen.length, 0, 'Metadata waits')
  held[2]?.reply({ responses: [] })
  held[1]?.reply({ responses: [] })
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(client.framesReady, 0, 'nothing overtakes the first')
  held[0]?.reply({ responses: [] })
  for (const expected of [1, 2, 3, 4]) t.equal((await client.next()).readInt32BE(0), expected)
  t.equal(seen.length, 1)
  t.equal(held.length, 4, 'the Produce behind it started')
  held[3]?.reply({ responses: [] })
  t.equal((await client.next()).readInt32BE(0), 5)
})

t.test('acks=0 has no answer; when it fails the connection ends', async (t) => {
  const { held, handler } = heldProduce()
  const { connect, listener } = await openTestListener(t, [handler, countingMetadata().handler])
  const client = await connect()
  client.socket.write(Buffer.concat([produceFrame(1, 0), metadataFrame(2)]))
  await until(() => held.length === 1, 'Produce at work')
  held[0]?.reply(undefined)
  t.equal((await client.next()).readInt32BE(0), 2)
  client.socket.write(produceFrame(3, 0))
  await until(() => held.length === 2, 'Produce at work')
  held[1]?.reply('close')
  await client.end()
  await until(() => listener.connectionCount === 0, 'connection gone')
})

t.test('a frame may come byte by byte', async (t) => {
  const { seen, handler } = countingMetadata()
  const { connect } = await openTestListener(t, [handler])
  const client = await connect()
  for (const byte of Buffer.concat([metadataFrame(7), metadataFrame(8)])) {
    client.socket.write(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal((await client.next()).readInt32BE(0), 7)
  t.equal((await client.next()).readInt32BE(0), 8)
  t.equal(seen.length, 2)
})

t.test('a null client id counts as empty, a changed one is seen', async (t) => {
  const { seen, handler } = countingMetadata()
  const { connect } = await openTestListener(t, [handler])
  const client = await connect()
  client.socket.write(
    Buffer.concat([metadataFrame(1, null), metadataFrame(2, 'ab'), metadataFrame(3, 'ac')]),
  )
  for (let i = 0; i < 3; i++) await client.next()
  t.same(seen, ['', 'ab', 'ac'])
})

t.test('what this broker does not read closes the connection, others go on', async (t) => {
  const { handler } = countingMetadata()
  const { connect, lines, listener } = await openTestListener(t, [handler])
  const other = await connect()
  const bad: [string, Buffer, RegExp][] = [
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /HTTP client/],
    ['TLS', Buffer.from('16030102000100', 'hex'), /TLS client/],
    ['text', Buffer.from('hello there, broker\n'), /plain text/],
    ['negative size', Buffer.from([0x80, 0, 0, 0]), /negative/],
    ['too large', Buffer.from([0x06, 0x40, 0, 1]), /socket\.request\.max\.bytes/],
    [
      'unknown key',
      RawClient.frame(heartbeat, 0, { groupId: '', generationId: 0, memberId: '' }),
      /API key 12/,
    ],
    ['empty frame', Buffer.alloc(4), /API key -1/],
    ['unknown version', Buffer.from('0000000a0003006300000001ffff', 'hex'), /version 99/],
    ['cut body', Buffer.from('0000000a0003000400000001ffff', 'hex'), /unreadable/],
    ['cut header', Buffer.from('0000000600030004000000', 'hex'), /unreadable/],
    ['lying client id', Buffer.from('0000000a00030004000000017fff', 'hex'), /unreadable/],
  ]
  for (const [name, bytes, reason] of bad) {
    const client = await connect()
    client.socket.write(bytes)
    await client.end()
    const warnings = lines.filter(({ level }) => level === 'warn')
    const line = warnings.find(({ facts }) => reason.test(String(facts['reason'])))
    t.ok(line !== undefined || warnings.length >= 5, `${name} is told, or was one too many`)
    other.socket.write(metadataFrame(1))
    await other.next()
  }
  t.equal(lines.filter(({ level }) => level === 'warn').length, 5, 'the log is limited')
  t.equal(listener.metrics.protocolErrors, bad.length)
})

t.test('what was asked before garbage is answered', async (t) => {
  const { handler } = countingMetadata()
  const { connect } = await openTestListener(t, [handler])
  const client = await connect()
  client.socket.write(Buffer.concat([metadataFrame(1), Buffer.from([0xff, 0xff, 0xff, 0xff])]))
  t.equal((await client.next()).readInt32BE(0), 1)
  await client.end()
})

t.test('ApiVersions of an unknown version is answered in v0', async (t) => {
  const table: ApiTable = new ApiTable([apiVersionsHandler(() => table)])
  const { connect } = await openTestListener(t, [apiVersionsHandler(() => table)])
  const client = await connect()
  client.socket.write(Buffer.from('0000000e0012006300000009ffff01020304', 'hex'))
  const frame = await client.next()
  t.equal(frame.readInt32BE(0), 9)
  const answer = RawClient.body(apiVersions, 0, frame)
  t.equal(answer.errorCode, 35)
  t.same(answer.apiKeys, [{ apiKey: 18, minVersion: 0, maxVersion: 4 }])
})

t.test('an operating error becomes an outcome, a bug an unknown error; order stays', async (t) => {
  let failWith: Error = new LmqError('LMQ_DISK_WRITE', {})
  const failing = defineHandler({
    api: metadata,
    versions: '0-13',
    requires: 'none',
    serve: async () => {
      throw failWith
    },
    refuse: (_request, errorCode) => ({ ...metadataAnswer, errorCode }),
  })
  const { connect, lines } = await openTestListener(t, [failing])
  const client = await connect()
  const request = {
    topics: [],
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  }
  t.equal((await client.ask(metadata, 13, request)).errorCode, 56)
  failWith = new TypeError('oops')
  t.equal((await client.ask(metadata, 13, request)).errorCode, -1)
  t.equal(lines.filter(({ level }) => level === 'error').length, 1)
})

t.test('connections are limited in total, per address and by exception', async (t) => {
  const { handler } = countingMetadata()
  const { connect, listener } = await openTestListener(t, [handler], {
    settings: { 'max.connections.per.ip': '0', 'max.connections.per.ip.overrides': '127.0.0.1:2' },
  })
  const first = await connect()
  const second = await connect()
  const third = await connect()
  await third.end()
  t.equal(listener.metrics.connectionsRefused, 1)
  first.close()
  await until(() => listener.connectionCount === 1, 'first gone')
  const fourth = await connect()
  fourth.socket.write(metadataFrame(1))
  await fourth.next()
  second.close()
})

t.test('a connection beyond max.connections waits for a slot', async (t) => {
  const { handler } = countingMetadata()
  const { connect, listener } = await openTestListener(t, [handler], {
    settings: { 'max.connections': '1', 'socket.listen.backlog.size': '2' },
  })
  const first = await connect()
  first.socket.write(metadataFrame(1))
  await first.next()
  const second = await connect()
  second.socket.write(metadataFrame(2))
  const third = await connect()
  third.socket.write(metadataFrame(3))
  const fourth = await connect()
  await fourth.end()
  t.equal(listener.metrics.connectionsRefused, 1, 'as many wait as the backlog says')
  t.equal(second.framesReady + third.framesReady, 0)
  t.equal(listener.connectionCount, 1)
  first.close()
  await second.next()
  t.equal(third.framesReady, 0)
  second.close()
  await third.next()
})

t.test('limits of one listener, and room on the one of the brokers', (t) => {
  const config = brokerConfigOf({ 'max.connections': '3' })
  const own = new Map([['EXTERNAL', 1]])
  const limits = new ConnectionLimits({
    config: () => config,
    ofListener: (name, setting) => (setting === 'max.connections' ? own.get(name) : undefined),
    protectedListener: 'BROKERS',
  })
  const ended: string[] = []
  const freed: string[] = []
  const add = (name: string, quietestMs: number) =>
    limits.add({
      name,
      quietestMs,
      admitWaiting: () => void freed.push(name),
      endQuietest: () => void ended.push(name),
    })
  add('BROKERS', 1)
  add('EXTERNAL', 5)
  add('INTERNAL', 3)
  const verdict = (listener: string) => limits.admit(listener, '127.0.0.1', 0).verdict
  t.equal(verdict('EXTERNAL'), 'serve')
  t.equal(verdict('EXTERNAL'), 'wait', 'its own limit')
  t.equal(verdict('INTERNAL'), 'serve')
  t.equal(verdict('INTERNAL'), 'serve')
  t.equal(verdict('INTERNAL'), 'wait', "the broker's limit")
  t.same(ended, [])
  t.equal(verdict('BROKERS'), 'serve', 'brokers are served beyond it')
  t.same(ended, ['INTERNAL'], 'for which the least recently used one of the others ends')
  limits.release('INTERNAL', '127.0.0.1')
  t.same(freed, ['BROKERS', 'EXTERNAL', 'INTERNAL'])
  t.equal(verdict('INTERNAL'), 'wait')
  limits.release('BROKERS', '127.0.0.1')
  t.equal(verdict('INTERNAL'), 'serve')
  t.end()
})

t.test('new connections are spaced, on one listener and on all', (t) => {
  const config = brokerConfigOf({ 'max.connection.creation.rate': '10' })
  const limits = new ConnectionLimits({
    config: () => config,
    ofListener: (name, setting) =>
      setting === 'max.connection.creation.rate' && name === 'SLOW' ? 2 : undefined,
    protectedListener: 'BROKERS',
  })
  const delays = (listener: string, count: number) =>
    Array.from({ length: count }, () => {
      const admission = limits.admit(listener, '127.0.0.1', 5_000)
      return admission.verdict === 'serve' ? admission.delayMs : -1
    })
  t.same(delays('SLOW', 4), [0, 0, 0, 500])
  t.same(delays('FAST', 8), [0, 0, 0, 0, 0, 0, 0, 100])
  t.same(delays('BROKERS', 20), Array(20).fill(0))
  t.end()
})

t.test('idle connections end, those with a request at work stay', async (t) => {
  const { held, handler } = heldProduce()
  const { connect, listener } = await openTestListener(t, [handler], {
    settings: { 'connections.max.idle.ms': '150' },
  })
  const idle = await connect()
  const busy = await connect()
  busy.socket.write(produceFrame(1))
  await idle.end()
  t.equal(held.length, 1)
  await until(() => listener.connectionCount === 1, 'only the busy one is left')
  held[0]?.reply({ responses: [] })
  t.equal((await busy.next()).readInt32BE(0), 1)
  await busy.end()
})

t.test('a peer that does not read is not served on, others are', async (t) => {
  const big = 'x'.repeat(30_000)
  let served = 0
  const handler = defineHandler({
    api: metadata,
    versions: '0-13',
    requires: 'none',
    serve: () => {
      served++
      return { ...metadataAnswer, clusterId: big }
    },
    refuse: () => metadataAnswer,
  })
  const { connect, answerMemory, requestMemory } = await openTestListener(t, [handler], {
    budgetBytes: 4 * 1024 * 1024,
  })
  const slow = await connect()
  slow.socket.pause()
  const requests = Buffer.concat(Array.from({ length: 1000 }, (_, i) => metadataFrame(i)))
  slow.socket.write(requests)
  await until(() => served > 10, 'requests served')
  let before = -1
  while (served !== before) {
    before = served
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.ok(served < 1000, `${served} of 1000 served`)
  t.ok(answerMemory.usedBytes < 3 * 1024 * 1024, `${answerMemory.usedBytes} bytes unsent`)
  const quick = await connect()
  quick.socket.write(metadataFrame(1))
  await quick.next()
  slow.socket.resume()
  for (let i = 0; i < 1000; i++) t.equal((await slow.next()).readInt32BE(0), i)
  t.equal(answerMemory.usedBytes, 0)
  t.equal(requestMemory.usedBytes, 0)
})

t.test('frames wait for memory and get it in turn', async (t) => {
  const { held, handler } = heldProduce()
  const { connect, requestMemory } = await openTestListener(t, [handler], {
    budgetBytes: 3 * 1024 * 1024,
  })
  const clients = await Promise.all([1, 2, 3, 4, 5].map(() => connect()))
  for (const client of clients) client.socket.write(largeProduceFrame(1))
  await until(() => held.length === 2, 'two fit')
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(held.length, 2)
  t.ok(requestMemory.usedBytes <= requestMemory.limitBytes)
  for (let i = 0; i < 5; i++) {
    await until(() => held.length > i, 'the next one gets memory')
    held[i]?.reply({ responses: [] })
  }
  for (const client of clients) await client.next()
  t.equal(requestMemory.usedBytes, 0)
})

t.test(
  'one connection has a few megabytes in work, and goes on when they are answered',
  async (t) => {
    const { held, handler } = heldProduce()
    const { connect, requestMemory } = await openTestListener(t, [handler])
    const client = await connect()
    for (let i = 0; i < 10; i++) client.socket.write(largeProduceFrame(i))
    await until(() => held.length === 4, 'four make more than 4 MiB')
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(held.length, 4)
    for (let i = 0; i < 10; i++) {
      await until(() => held.length > i, 'the next one starts')
      t.ok(requestMemory.usedBytes < 8 * 1024 * 1024)
      held[i]?.reply({ responses: [] })
      t.equal((await client.next()).readInt32BE(0), i)
    }
    t.equal(requestMemory.usedBytes, 0)
  },
)

t.test('closing lets requests at work be answered', async (t) => {
  const { held, handler } = heldProduce()
  const { connect, listener } = await openTestListener(t, [handler])
  const client = await connect()
  const idle = await connect()
  client.socket.write(produceFrame(1))
  await until(() => held.length === 1, 'at work')
  const closed = listener.close(5_000)
  await idle.end()
  held[0]?.reply({ responses: [] })
  t.equal((await client.next()).readInt32BE(0), 1)
  await client.end()
  await closed
  await t.rejects(connect())
})

t.test('a connection that dies in the middle gives its memory back', async (t) => {
  const { held, handler } = heldProduce()
  const { connect, listener, requestMemory } = await openTestListener(t, [handler])
  const client = await connect()
  client.socket.write(Buffer.concat([produceFrame(1), Buffer.from([0, 0x10, 0, 0, 1, 2, 3])]))
  await until(() => held.length === 1, 'at work')
  t.ok(requestMemory.usedBytes > 1_000_000)
  client.close()
  await until(() => listener.connectionCount === 0, 'gone')
  t.equal(requestMemory.usedBytes, produceFrame(1).length - 4, 'its batches may wait for the disk')
  held[0]?.reply({ responses: [] })
  t.equal(requestMemory.usedBytes, 0)
})
