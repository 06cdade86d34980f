import { connect } from 'node:net'
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { HttpServer } from '../../../src/http/http-server.ts'
import { labelled, single } from '../../../src/metrics/metric.ts'

async function open(
  t: { teardown(end: () => unknown): void },
  healthy = () => true,
  passing: readonly string[] = [],
) {
  const server = await HttpServer.open({
    host: '127.0.0.1',
    port: 0,
    metrics: [
      single('gauge', 'lmq_answer', 'The answer.', () => 42),
      labelled('counter', 'lmq_things_total', 'Things.', () => [
        [{}, 3],
        [{ topic: 'a"b' }, 2],
      ]),
      {
        name: 'lmq_seconds',
        help: 'Times.',
        type: 'histogram',
        read: () => [
          { value: 1, labels: { le: '+Inf' }, suffix: '_bucket' },
          { value: 0.5, labels: {}, suffix: '_sum' },
          { value: 1, labels: {}, suffix: '_count' },
        ],
      },
    ],
    changingMetrics: () => passing.map((name) => single('gauge', name, 'Passing.', () => 1)),
    health: () => ({ healthy: healthy(), facts: { brokerId: 1 } }),
    logger: silentLogger,
  })
  t.teardown(() => server.close())
  return server.address
}

t.test('healthz says whether the broker serves', async (t) => {
  let healthy = true
  const address = await open(t, () => healthy)
  const good = await fetch(`${address}/healthz`)
  t.equal(good.status, 200)
  t.same(await good.json(), { status: 'ok', brokerId: 1 })
  healthy = false
  t.equal((await fetch(`${address}/healthz?x=1`)).status, 503)
})

t.test('metrics are in the text form of Prometheus', async (t) => {
  const address = await open(t)
  const answer = await fetch(`${address}/metrics`)
  t.match(answer.headers.get('content-type'), /^text\/plain/)
  const text = await answer.text()
  for (const line of [
    '# TYPE lmq_answer gauge',
    'lmq_answer 42',
    'lmq_things_total 3',
    'lmq_things_total{topic="a\\"b"} 2',
    'lmq_seconds_bucket{le="+Inf"} 1',
    'lmq_seconds_count 1',
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
  t.match(text, /process_cpu_seconds_total/)
})

t.test('the first ones, which come before HTTP is loaded, are all served', async (t) => {
  const address = await open(t)
  const { hostname, port } = new URL(address)
  const slow = connect(Number(port), hostname)
  slow.write('GET /heal')
  const answers = Array.from({ length: 20 }, async () => (await fetch(`${address}/healthz`)).status)
  t.same(new Set(await Promise.all(answers)), new Set([200]))
  slow.write('thz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  const chunks: Buffer[] = []
  for await (const chunk of slow) chunks.push(chunk)
  t.match(Buffer.concat(chunks).toString(), /^HTTP\/1.1 200 OK\r\n/)
})

t.test(
  'what fails when HTTP is loaded costs those who wait their connection, and no more',
  async (t) => {
    let isBroken = true
    const warned: unknown[] = []
    const server = await HttpServer.open({
      host: '127.0.0.1',
      port: 0,
      get metrics() {
        if (isBroken) throw new Error('EMFILE')
        return []
      },
      health: () => ({ healthy: true, facts: {} }),
      logger: { warn: (facts: unknown) => void warned.push(facts) },
    })
    await t.rejects(fetch(`${server.address}/healthz`))
    t.same(warned, [{ error: 'Error: EMFILE' }])
    isBroken = false
    t.equal((await fetch(`${server.address}/healthz`)).status, 200)
    await server.close()
  },
)

t.test('a port that nobody asked is closed, too', async (t) => {
  const ends: (() => unknown)[] = []
  const address = await open({ teardown: (end) => void ends.push(end) })
  for (const end of ends) await end()
  await t.rejects(fetch(address))
})

t.test('metrics come and go', async (t) => {
  const passing = ['one']
  const address = await open(t, () => true, passing)
  const lines = async () => (await (await fetch(`${address}/metrics`)).text()).split('\n')
  const first = await lines()
  for (const line of ['lmq_answer 42', '# TYPE one gauge', 'one 1']) t.ok(first.includes(line))
  passing[0] = 'two'
  const later = await lines()
  t.ok(later.includes('two 1'))
  t.notOk(later.includes('one 1'))
})

t.test('anything else is refused', async (t) => {
  const address = await open(t)
  t.equal((await fetch(`${address}/`)).status, 404)
  t.equal((await fetch(`${address}/metrics`, { method: 'POST' })).status, 405)
  t.equal((await fetch(`${address}/healthz`, { method: 'HEAD' })).status, 200)
})

t.test('a port that is taken is told', async (t) => {
  const address = await open(t)
  const port = Number(new URL(address).port)
  const again = HttpServer.open({
    host: '127.0.0.1',
    port,
    metrics: [],
    health: () => ({ healthy: true, facts: {} }),
    logger: silentLogger,
  })
  await t.rejects(again, { code: 'LMQ_PORT_TAKEN' })
})
