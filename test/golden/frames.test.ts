// Goal: what real clients and a real broker send is read to the last byte, and written back as the same bytes.
// Method: frames recorded between kcat, kafkajs, the Java tools, confluent-kafka, franz-go and Apache Kafka 4.3.1.
import t from 'tap'
import { Reader } from '../../src/protocol/reader.ts'
import { parseVersions } from '../../src/protocol/versions.ts'
import { apiByKey } from '../oracle/all-messages.ts'
import { type Frame, openFrame, recordedFrames } from './frames.ts'
import { kafka43Advertised, kafka43Served, telemetryKeys } from './kafka-versions.ts'

const frames = recordedFrames()

/** franz-go asks in a version that 4.3.1 does not know yet; no version of a broker may read such a body. */
function isFromTheFuture(frame: Frame): boolean {
  return frame.version > apiByKey(frame.key).versions.max
}

/** librdkafka puts a second empty section of tagged fields behind this one; brokers do not mind. */
function hasBytesToSpare(frame: Frame): boolean {
  return frame.client === 'python' && frame.key === 51 && frame.direction === 'request'
}

function named(frame: Frame): string {
  return `${apiByKey(frame.key).name} v${frame.version} ${frame.direction}`
}

for (const client of new Set(frames.map((frame) => frame.client))) {
  t.test(client, async (t) => {
    for (const frame of frames) {
      if (frame.client !== client || isFromTheFuture(frame)) continue
      const opened = openFrame(frame)
      const left = frame.bytes.subarray(opened.end)
      t.same(left, hasBytesToSpare(frame) ? Buffer.alloc(1) : Buffer.alloc(0), named(frame))
      const again = Buffer.concat([
        opened.headerLayout.encode(opened.header as never, opened.headerVersion),
        opened.bodyLayout.encode(opened.body as never, frame.version),
        left,
      ])
      t.ok(again.equals(frame.bytes), `${named(frame)} written back`)
    }
  })
}

t.test('every truncation of every recorded body is refused', async (t) => {
  for (const frame of frames) {
    if (isFromTheFuture(frame) || hasBytesToSpare(frame) || frame.bytes.length > 600) continue
    const { bodyStart, bodyLayout } = openFrame(frame)
    for (let end = bodyStart; end < frame.bytes.length; end++) {
      try {
        bodyLayout.read(new Reader(frame.bytes, bodyStart, end), frame.version)
        t.fail(`${named(frame)} cut at ${end} was read`)
      } catch (error) {
        if ((error as { code?: string }).code !== 'LMQ_PROTOCOL') throw error
      }
    }
  }
  t.pass('LMQ_PROTOCOL for each')
})

function bodies(client: string, key: number, version: number, direction: string) {
  const found = frames.filter(
    (frame) =>
      frame.client === client &&
      frame.key === key &&
      frame.version === version &&
      frame.direction === direction,
  )
  // biome-ignore lint/suspicious/noExplicitAny: these tests look at fields of many layouts
  return found.map((frame) => openFrame(frame) as { header: any; body: any })
}

t.test('the recordings hold nearly every version that Kafka 4.3.1 serves', async (t) => {
  const missing: string[] = []
  for (const [key, name, versions] of kafka43Served) {
    const { min, max } = parseVersions(versions)
    for (let version = min; version <= max; version++) {
      const is = (direction: string) => (frame: Frame) =>
        frame.key === key && frame.version === version && frame.direction === direction
      if (!frames.some(is('request')) || !frames.some(is('response'))) {
        missing.push(`${name} ${version}`)
      }
    }
  }
  t.same(missing, [
    'JoinGroup 8',
    'AddPartitionsToTxn 4',
    'WriteTxnMarkers 1',
    'SaslAuthenticate 0',
    'SaslAuthenticate 1',
    'SaslAuthenticate 2',
    'GetTelemetrySubscriptions 0',
    'PushTelemetry 0',
    'ShareFetch 1',
    'ShareAcknowledge 1',
    'WriteShareGroupState 0',
    'ReadShareGroupStateSummary 0',
    'StreamsGroupHeartbeat 0',
  ])
})

t.test('values', async (t) => {
  const [produce] = bodies('kcat', 0, 7, 'request')
  t.match(produce?.header, { requestApiKey: 0, requestApiVersion: 7, clientId: 'rdkafka' })
  t.match(produce?.body, { transactionalId: null, acks: -1, timeoutMs: 30000 })
  const topics = bodies('kcat', 0, 7, 'request').map(({ body }) => body.topicData[0].name)
  t.ok(topics.every((name) => name.startsWith('kcat-')))

  const [metadata] = bodies('java', 3, 13, 'response')
  t.match(metadata?.body.brokers, [{ nodeId: 1, host: '127.0.0.1', port: 19594, rack: 'RACK1' }])
  t.match(metadata?.body.clusterId, /^[A-Za-z0-9_-]{22}$/)
  t.equal(metadata?.body.errorCode, 0)
  t.equal(metadata?.body.clusterAuthorizedOperations, -2147483648)

  const fetches = bodies('java', 1, 18, 'request').map(({ body }) => body)
  for (const body of fetches) {
    t.match(body, { maxWaitMs: 500, minBytes: 1, maxBytes: 52428800, clusterId: null })
    t.equal(body.replicaState.replicaId, -1, 'a tagged struct that was left out')
  }

  const joined = bodies('kafkajs', 11, 5, 'response').map(({ body }) => body)
  t.same(joined.map((body) => body.errorCode).sort(), [0, 79], 'first MEMBER_ID_REQUIRED, then in')
  t.ok(joined.every((body) => body.memberId.startsWith('kjs-')))
  const leader = joined.find((body) => body.errorCode === 0)
  t.equal(leader.leader, leader.memberId)
  t.equal(leader.protocolName, 'RoundRobinAssigner')

  const beats = bodies('java', 68, 1, 'request').map(({ body }) => body.memberEpoch)
  t.same(beats.sort(), [-1, 0, 2], 'a member of the new protocol joins, is there, leaves')

  const [committed] = bodies('python', 28, 3, 'request')
  t.match(committed?.body, {
    transactionalId: 'tx-py',
    groupId: 'g-py',
    topics: [{ name: 'py-a', partitions: [{ partitionIndex: 0, committedOffset: 5 }] }],
  })
})

t.test('ApiVersions names the ranges that stand in kafka-versions.ts', async (t) => {
  const [answer] = bodies('java', 18, 4, 'response')
  const named = new Map<number, string>()
  for (const { apiKey, minVersion, maxVersion } of answer?.body.apiKeys ?? []) {
    named.set(apiKey, minVersion === maxVersion ? `${minVersion}` : `${minVersion}-${maxVersion}`)
  }
  const expected = new Map(kafka43Advertised)
  for (const key of telemetryKeys) expected.delete(key)
  t.same(named, expected)
})

t.test('ApiVersions in a version that the broker does not know is answered in v0', async (t) => {
  const [ask] = frames.filter((frame) => isFromTheFuture(frame) && frame.direction === 'request')
  const [answer] = frames.filter(
    (frame) => isFromTheFuture(frame) && frame.direction === 'response',
  )
  t.ok(ask && answer)
  if (!answer) return
  t.equal(answer.key, 18)
  const opened = openFrame({ ...answer, version: 0 })
  t.equal(opened.end, answer.bytes.length)
  t.same(opened.body['errorCode'], 35)
  t.match(opened.body['apiKeys'], [{ apiKey: 18, minVersion: 0, maxVersion: 4 }])
})
