import t from 'tap'
import {
  type CheckOptions,
  checkHistory,
  type HistoryEvent,
  type SendValue,
} from '../../checker/history-checker.ts'

let now = 0

const place = { topic: 'a', partition: 0 }
const all = { ...place, acks: -1, idempotent: true } as const

function send(value: string, offset?: number, how: Partial<SendValue> = {}): HistoryEvent[] {
  const process = 'p'
  const invoked = { ...all, ...how, value }
  const events: HistoryEvent[] = [{ process, type: 'invoke', f: 'send', value: invoked, t: ++now }]
  if (offset !== undefined) {
    events.push({ process, type: 'ok', f: 'send', value: { ...invoked, offset }, t: ++now })
  }
  return events
}

const poll = (...records: [number, string][]): HistoryEvent => ({
  process: 'c',
  type: 'ok',
  f: 'poll',
  value: { ...place, records },
  t: ++now,
})

const group = (
  f: 'commit' | 'committed',
  offset: number,
  type: 'invoke' | 'ok' = 'ok',
): HistoryEvent => ({
  process: 'm',
  type,
  f,
  value: { ...place, group: 'g', offset },
  t: ++now,
})

function kinds(events: readonly HistoryEvent[], options?: CheckOptions): string[] {
  return checkHistory(events, options).anomalies.map(({ kind }) => kind)
}

t.test('a history in which all is well', async (t) => {
  const verdict = checkHistory([
    ...send('x', 0),
    ...send('y', 1),
    ...send('never acknowledged'),
    poll([0, 'x']),
    poll([1, 'y']),
    group('commit', 1),
    group('committed', -1, 'invoke'),
    group('committed', 1),
  ])
  t.strictSame(verdict.anomalies, [])
  t.match(verdict, { sends: 3, acknowledged: 2, polled: 2, longestLagMs: 4 })
})

t.test('each anomaly', async (t) => {
  t.strictSame(kinds([...send('x', 0), ...send('y', 1), poll([1, 'y'])]), ['lost write'])
  t.strictSame(kinds([...send('x', 0), ...send('y', 1), poll([0, 'x'])]), ['unseen'])
  t.strictSame(kinds([...send('x', -1)]), ['unseen'], 'also where the offset is not known')
  t.strictSame(kinds([...send('x', 0), poll([0, 'x'], [1, 'x'])]), ['duplicate'])
  const other = [...send('x', 0), ...send('y'), poll([0, 'y'])]
  t.strictSame(kinds(other), ['inconsistent offset', 'lost write'])
  t.strictSame(kinds([poll([0, 'from nowhere'])]), ['phantom'])
  const three = [...send('x', 0), ...send('y', 1), ...send('z', 2)]
  t.strictSame(kinds([...three, poll([0, 'x'], [1, 'y'], [2, 'z']), poll([1, 'y'])]), [
    'going back',
  ])
  t.strictSame(kinds([...three, poll([0, 'x']), poll([2, 'z'])]), ['internal skip', 'lost write'])
  t.strictSame(kinds([...send('x', 5), ...send('y', 4), poll([4, 'y'], [5, 'x'])]), [
    'non-monotonic send',
    'out of order',
  ])
  const late = [...send('x'), ...send('y', 0), poll([0, 'y'], [1, 'x'])]
  t.strictSame(kinds(late), ['out of order'], 'also where nobody was told')
  t.strictSame(kinds([group('commit', 5), group('commit', 4)]), ['group offset back'])
  t.strictSame(
    kinds([group('commit', 5), group('committed', -1, 'invoke'), group('committed', 4)]),
    ['group offset back'],
  )
  const highWatermarks = new Map([['a-0', 4]])
  t.strictSame(kinds([group('commit', 5)], { highWatermarks }), ['group offset ahead'])
})

t.test('what may be', async (t) => {
  const lax = { acks: 1, idempotent: false } as const
  t.strictSame(kinds([...send('x', 0, lax), ...send('y', 0, lax), poll([0, 'y'])]), [])
  t.strictSame(kinds([...send('x', 0, lax), poll([0, 'x'], [1, 'x'])]), [])
  const one = { ...lax, isOrdered: true }
  const twice = [...send('x', 0, one), ...send('y', 1, one), poll([0, 'x'], [1, 'y'], [2, 'x'])]
  t.strictSame(kinds(twice), [], 'a retry comes behind what was sent later')
  const many = [...send('x', 1, lax), ...send('y', 0, lax), poll([0, 'y'], [1, 'x'])]
  t.strictSame(kinds(many), [], 'several requests under way')
  const assign: HistoryEvent = { process: 'c', type: 'ok', f: 'assign', value: [place], t: 0 }
  t.strictSame(kinds([...send('x', 0), poll([0, 'x']), assign, poll([0, 'x'])]), [])
  const between = [
    group('commit', 5),
    group('committed', -1, 'invoke'),
    group('commit', 6),
    group('committed', 5),
  ]
  t.strictSame(kinds(between), [], 'a commit that comes after the question')
})

t.test('records that somebody deletes may be there or not, others must be', async (t) => {
  const three = [...send('x', 0), ...send('y', 1), ...send('z', 2)]
  const trim = (offset: number): HistoryEvent => ({
    process: 'admin',
    type: 'invoke',
    f: 'trim',
    value: { ...place, offset },
    t: ++now,
  })
  t.strictSame(kinds([...three, trim(2), poll([2, 'z'])]), [])
  t.strictSame(kinds([...three, poll([0, 'x']), trim(2), poll([1, 'y'], [2, 'z'])]), [])
  t.strictSame(kinds([...three, poll([0, 'x']), trim(2), poll([2, 'z'])]), [], 'a jump over them')
  t.strictSame(kinds([...three, trim(1), poll([0, 'x'], [2, 'z'])]), [
    'internal skip',
    'lost write',
  ])
  t.strictSame(kinds([...three, trim(1), poll([2, 'z'])]), ['lost write'])
})
