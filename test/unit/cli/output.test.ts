import t from 'tap'
import { banner } from '../../../src/cli/banner.ts'
import { sizeText, tableOf } from '../../../src/cli/output.ts'
import { createTextLogger } from '../../../src/cli/text-logger.ts'

t.test('tables', async (t) => {
  const rows = [
    { name: 'a', count: 5 },
    { name: 'longer', count: 1_000 },
    { name: null, count: undefined },
  ]
  const table = tableOf(rows, [
    { title: 'NAME', value: (row) => row.name },
    { title: 'COUNT', value: (row) => row.count },
  ])
  t.equal(table, 'NAME    COUNT\na           5\nlonger   1000\n-           -\n')
})

t.test('sizes', async (t) => {
  t.equal(sizeText(0), '0 B')
  t.equal(sizeText(1_536), '1.5 KiB')
  t.equal(sizeText(5 * 2 ** 40), '5.0 TiB')
})

t.test('log lines', async (t) => {
  const lines: string[] = []
  const now = () => new Date(0)
  const logger = createTextLogger((line) => lines.push(line), 'info', now).child({ broker: 1 })
  logger.debug({}, 'not shown')
  logger.warn({ path: '/a b', error: new Error('no "room"'), gone: undefined }, 'disk is full')
  t.same(lines, [
    '1970-01-01T00:00:00.000Z WARN  disk is full broker=1 path="/a b" error="no \\"room\\""\n',
  ])
})

t.test('the banner begins with the address', async (t) => {
  const facts = { bootstrap: 'h:1', clusterId: 'c', brokerId: 1, dataDir: '/d', startedMs: 90 }
  t.match(banner(facts), /ready in 90 ms.*h:1/)
  const listeners = [
    { name: 'IN', host: 'h', port: 1 },
    { name: 'OUT', host: '::1', port: 2 },
  ]
  t.match(banner({ ...facts, listeners }), /listener OUT +\[::1\]:2\n/)
  t.match(banner({ ...facts, isEphemeral: true, httpAddress: 'http://h:2' }), /temporary/)
})
