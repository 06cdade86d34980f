// Goal: what clients measure comes out as it was pushed, and nobody can fill the broker's memory or stop it with it.
// Method: payloads built here, a clock moved by hand. What Kafka answers stands in test/golden/broker-answers.txt; real
// clients push in test/compat.
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { MetadataDelta } from '../../../src/cluster/metadata-delta.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { Telemetry, type TelemetryPeer } from '../../../src/server/telemetry.ts'
import { TelemetryMetrics } from '../../../src/server/telemetry-metrics.ts'
import { readTelemetry } from '../../../src/server/telemetry-payload.ts'

// ---------------------------------------------------------------------------------------------------- payloads

const varint = (value: number): Buffer => {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest >= 128 ? (rest % 128) | 0x80 : rest)
    if (rest < 128) return Buffer.from(bytes)
  }
}
const bytes = (field: number, content: Buffer | string): Buffer =>
  Buffer.concat([varint(field * 8 + 2), varint(Buffer.byteLength(content)), Buffer.from(content)])
const number = (field: number, value: number): Buffer =>
  Buffer.concat([varint(field * 8), varint(value)])
const double = (field: number, value: number): Buffer => {
  const content = Buffer.alloc(8)
  content.writeDoubleLE(value)
  return Buffer.concat([varint(field * 8 + 1), content])
}
const long = (field: number, value: bigint): Buffer => {
  const content = Buffer.alloc(8)
  content.writeBigInt64LE(value)
  return Buffer.concat([varint(field * 8 + 1), content])
}
const attribute = (field: number, key: string, value: Buffer): Buffer =>
  bytes(field, Buffer.concat([bytes(1, key), bytes(2, value)]))
const text = (value: string): Buffer => bytes(1, value)

const gauge = (name: string, ...points: Buffer[]): Buffer =>
  bytes(2, Buffer.concat([bytes(1, name), bytes(5, Buffer.concat(points.map((p) => bytes(1, p))))]))
const sum = (name: string, temporality: number, value: number): Buffer =>
  bytes(
    2,
    Buffer.concat([
      bytes(1, name),
      bytes(2, 'so many'),
      bytes(7, Buffer.concat([bytes(1, double(4, value)), number(2, temporality), number(3, 1)])),
    ]),
  )
const payload = (metrics: readonly Buffer[], resource: readonly Buffer[] = []): Buffer =>
  bytes(1, Buffer.concat([bytes(2, Buffer.concat(metrics)), bytes(1, Buffer.concat(resource))]))

// ---------------------------------------------------------------------------------------------------- a broker

const client = {
  client_id: 'app',
  client_software_name: 'test-client',
  client_software_version: '1.0',
  client_source_address: '127.0.0.1',
  client_source_port: '5',
}
const quiet: TelemetryPeer = { id: 1, onEnd() {} }

function broker(maxBytes = 1_000_000) {
  const clock = { ms: 0, nowMs: () => clock.ms }
  const image = new MetadataImage()
  let index = 0
  const configure = (name: string, values: Record<string, string | null>) => {
    const records = Object.entries(values).map(
      ([key, value]) =>
        ({ kind: 'config', resourceType: 16, resourceName: name, name: key, value }) as const,
    )
    image.applyEntry(index++, records, new MetadataDelta())
  }
  const telemetry = new Telemetry({ ...createNodeIo(), monotonic: clock }, image, () => maxBytes)
  const subscribe = (id = ZERO_UUID, peer = quiet) => {
    const answer = telemetry.subscribe(id, client, peer)
    if (typeof answer === 'number') throw new Error(errorName(answer))
    return answer
  }
  const push = async (
    { clientInstanceId, subscriptionId }: { clientInstanceId: string; subscriptionId: number },
    metrics: Buffer,
    compressionType = 0,
  ) =>
    errorName(
      await telemetry.push(
        { clientInstanceId, subscriptionId, terminating: false, compressionType, metrics },
        client,
        quiet,
      ),
    )
  const shown = () =>
    telemetry.received
      .metrics()
      .flatMap(({ name, type, read }) =>
        [...read()].map(({ labels, value }) => ({ name, type, labels, value })),
      )
  return { clock, configure, telemetry, subscribe, push, shown }
}

// ---------------------------------------------------------------------------------------------------- tests

t.test('gauges and sums with their attributes', async (t) => {
  const point = Buffer.concat([double(4, 1.5), attribute(7, 'node.id', text('n1'))])
  const points = readTelemetry(
    payload(
      [gauge('a.b', point, long(6, -5n)), sum('c', 1, 7)],
      [attribute(1, 'group_id', text('g')), attribute(1, 'n', number(3, 300))],
    ),
  )
  const all = { group_id: 'g', n: '300' }
  t.same(
    points.map((one) => ({ ...one, attributes: Object.fromEntries(one.attributes) })),
    [
      { name: 'a.b', value: 1.5, attributes: { ...all, 'node.id': 'n1' } },
      { name: 'a.b', value: -5, attributes: all },
      {
        name: 'c',
        description: 'so many',
        isCounter: true,
        isDelta: true,
        value: 7,
        attributes: all,
      },
    ].map((one) => ({ description: '', isCounter: false, isDelta: false, ...one })),
  )
})

t.test('bytes of any kind are read or refused', async (t) => {
  const good = payload([gauge('a.b', double(4, 1)), sum('c', 2, 7)], [attribute(1, 'k', text('v'))])
  const reads = (content: Buffer) => {
    try {
      readTelemetry(content)
      return true
    } catch (error) {
      return (error as { code?: string }).code === 'LMQ_PROTOCOL'
    }
  }
  for (let end = 0; end < good.length; end++) t.ok(reads(good.subarray(0, end)))
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (content) => reads(Buffer.from(content))),
  )
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const bad = Buffer.from(good)
      bad[at] = byte
      return reads(bad)
    }),
  )
  // Groups within groups: nothing recurses, nothing is done twice.
  let deep: Buffer = Buffer.alloc(0)
  for (let i = 0; i < 5_000; i++) deep = bytes(1, deep)
  t.ok(reads(deep))
  const many = payload([gauge('m', ...Array.from({ length: 20_000 }, () => double(4, 1)))])
  t.equal(readTelemetry(many).length, 10_000)
})

t.test('what is pushed stands on the page with whose it is', async (t) => {
  const { clock, configure, subscribe, push, shown } = broker()
  configure('all', { metrics: '*', 'interval.ms': '1000' })
  const subscription = subscribe()
  t.same(subscription.requestedMetrics, ['*'])
  t.equal(subscription.pushIntervalMs, 1000)
  const metrics = payload(
    [
      sum('org.apache.kafka.producer.sent.total', 1, 5),
      gauge('x-y', Buffer.concat([double(4, 2), attribute(7, 'client_id', text('me not'))])),
    ],
    [attribute(1, '__proto__', text('p'))],
  )
  t.equal(await push(subscription, gzipSync(metrics), 1), 'NONE')
  t.equal(await push(subscription, metrics), 'THROTTLING_QUOTA_EXCEEDED')
  clock.ms += 1000
  t.equal(await push(subscription, metrics), 'NONE')
  const labels = {
    client_instance_id: subscription.clientInstanceId,
    client_id: 'app',
    client_software_name: 'test-client',
    client_software_version: '1.0',
    client_source_address: '127.0.0.1',
  }
  t.same(shown(), [
    { name: 'kafka_client_producer_sent_total', type: 'counter', labels, value: 10 },
    { name: 'kafka_client_x_y', type: 'gauge', labels, value: 2 },
  ])
  clock.ms += 60_000
  t.same(shown(), [], 'nothing came for a minute')
})

t.test('what cannot be opened, read or held', async (t) => {
  const { clock, subscribe, push, telemetry } = broker(5_000)
  const pushed = async (metrics: Buffer, codec: number) => {
    clock.ms += 1_000_000
    return push(subscribe(), metrics, codec)
  }
  t.equal(await pushed(Buffer.alloc(5_001), 0), 'TELEMETRY_TOO_LARGE')
  t.equal(await pushed(Buffer.from('nonsense'), 0), 'INVALID_RECORD')
  for (const codec of [1, 2, 3, 4]) {
    t.equal(await pushed(Buffer.from('nonsense'), codec), 'INVALID_RECORD', `codec ${codec}`)
  }
  t.equal(await pushed(gzipSync(Buffer.alloc(1_000_000)), 1), 'INVALID_RECORD')
  t.equal(await pushed(Buffer.alloc(0), 0), 'NONE')
  t.equal(await pushed(Buffer.from('x'), 9), 'UNSUPPORTED_COMPRESSION_TYPE')
  t.equal(telemetry.received.values, 0)
})

t.test('a change of subscriptions reaches a client at once, other metadata does not', async (t) => {
  const { configure, subscribe, telemetry } = broker()
  configure('a', { metrics: 'x.,b.', 'interval.ms': '60000' })
  const first = subscribe()
  t.same(first.requestedMetrics, ['b.', 'x.'])
  const id = first.clientInstanceId
  configure('other', {})
  t.equal(errorName(Number(telemetry.subscribe(id, client, quiet))), 'THROTTLING_QUOTA_EXCEEDED')
  configure('b', { metrics: 'y.', 'interval.ms': '1000', match: 'client_id=ap+' })
  const second = subscribe(id)
  t.same(second.requestedMetrics, ['b.', 'x.', 'y.'])
  t.equal(second.pushIntervalMs, 1000)
  t.not(second.subscriptionId, first.subscriptionId)
  configure('b', { match: 'client_id=other' })
  t.equal(subscribe(id).subscriptionId, first.subscriptionId)
})

t.test('an instance is forgotten with its connection, and after a while', async (t) => {
  const { clock, subscribe, telemetry } = broker()
  let end = () => {}
  const peer = {
    id: 7,
    onEnd(listener: () => void) {
      end = listener
    },
  }
  const { clientInstanceId } = subscribe(ZERO_UUID, peer)
  t.equal(telemetry.instanceCount, 1)
  end()
  t.equal(telemetry.instanceCount, 0)
  subscribe(clientInstanceId)
  clock.ms += 3 * 300_000
  subscribe(clientInstanceId)
  t.equal(telemetry.instanceCount, 1)
})

t.test('series are bounded: a client has its share, the silent ones make room', async (t) => {
  const clock = { ms: 0, nowMs: () => clock.ms }
  const metrics = new TelemetryMetrics(clock, 1_500)
  const points = (count: number, name = 'm') =>
    Array.from({ length: count }, (_, i) => ({
      name: `${name}${i}`,
      description: '',
      isCounter: false,
      isDelta: false,
      value: i,
      attributes: new Map(),
    }))
  metrics.take('a', { who: 'a' }, points(1_200), 1_000)
  t.equal(metrics.seriesCount, 1_000)
  t.equal(metrics.dropped, 200)
  metrics.take('b', { who: 'b' }, points(400), 1_000)
  t.equal(metrics.seriesCount, 1_400)
  metrics.take('c', { who: 'c' }, points(300), 5_000)
  t.equal(metrics.seriesCount, 700, 'a made room')
  clock.ms = 1_000
  metrics.take('c', { who: 'c' }, points(10), 500)
  t.equal(metrics.metrics().length, 300)
  t.equal(metrics.clientCount, 1, 'b is forgotten')
  clock.ms = 1_500
  metrics.metrics()
  t.equal(metrics.seriesCount, 290, 'what c pushes no more goes, too')
})

t.test('two meanings of one name', async (t) => {
  const metrics = new TelemetryMetrics({ nowMs: () => 0 })
  const point = { name: 'm', description: 'a\nb', isDelta: false, value: 1, attributes: new Map() }
  metrics.take('a', {}, [{ ...point, isCounter: true }], 1_000)
  metrics.take('b', { who: 'b' }, [{ ...point, isCounter: false }], 1_000)
  const [only, ...more] = metrics.metrics()
  t.match(only, { name: 'kafka_client_m', type: 'counter', help: 'a b' })
  t.equal([...(only?.read() ?? [])].length, 1)
  t.equal(more.length, 0)
})
