import t from 'tap'
import { parsePlace } from '../../../src/cli/place.ts'

t.test('places as people write them', async (t) => {
  const nowMs = Date.parse('2026-01-31T12:00:00Z')
  const known: [string, object][] = [
    ['beginning', { kind: 'beginning' }],
    ['earliest', { kind: 'beginning' }],
    ['end', { kind: 'end' }],
    [' latest ', { kind: 'end' }],
    ['0', { kind: 'offset', offset: 0 }],
    ['-5', { kind: 'last', count: 5 }],
    ['@1000', { kind: 'time', timestamp: 1000 }],
    ['10m', { kind: 'time', timestamp: nowMs - 600_000 }],
    ['2d', { kind: 'time', timestamp: nowMs - 172_800_000 }],
    ['2026-01-31', { kind: 'time', timestamp: Date.parse('2026-01-31') }],
    ['2026-01-31T11:00:00Z', { kind: 'time', timestamp: nowMs - 3_600_000 }],
  ]
  for (const [text, place] of known) t.same(parsePlace(text, nowMs), place, text)
  for (const text of ['', 'x', '1.5', '10y', '2026-99-99', '--5']) {
    t.throws(() => parsePlace(text, nowMs), { name: 'UsageError' }, text)
  }
})
