import t from 'tap'
import { DeletedTopics } from '../../../src/cluster/deleted-topics.ts'

t.test('a name is remembered for half a minute since it was last deleted', async (t) => {
  const clock = { ms: 0, nowMs: () => clock.ms }
  const deleted = new DeletedTopics(clock)
  t.notOk(deleted.has('a'))
  deleted.note('a')
  deleted.note('b')
  clock.ms = 20_000
  deleted.note('a')
  clock.ms = 29_999
  t.ok(deleted.has('b'))
  clock.ms = 30_000
  t.notOk(deleted.has('b'))
  t.ok(deleted.has('a'))
  clock.ms = 50_000
  t.notOk(deleted.has('a'))
})

t.test('of very many names the last ten thousand are remembered', async (t) => {
  const deleted = new DeletedTopics({ nowMs: () => 0 })
  for (let at = 0; at <= 10_000; at++) deleted.note(`a${at}`)
  t.notOk(deleted.has('a0'))
  t.ok(deleted.has('a1'))
  t.ok(deleted.has('a10000'))
})
