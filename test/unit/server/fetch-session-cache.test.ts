import t from 'tap'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { type FetchSession, FetchSessionCache } from '../../../src/server/fetch-session-cache.ts'

function cacheWith(slots: number) {
  const clock = { ms: 0, nowMs: () => clock.ms }
  let nextId = 0
  const random = {
    int: () => nextId++,
    uuid: () => '',
    bytes: (size: number) => Buffer.alloc(size),
  }
  return { clock, cache: new FetchSessionCache(slots, clock, random) }
}

function fill(session: FetchSession | undefined, count: number): FetchSession {
  if (!session) throw new Error('no session')
  for (let partitionIndex = 0; partitionIndex < count; partitionIndex++) {
    session.list.put({
      topic: 'a',
      topicId: ZERO_UUID,
      partitionIndex,
      fetchOffset: 0,
      maxBytes: 1,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      highWatermark: -1,
    })
  }
  return session
}

t.test('epochs rise by one, wrap to 1, and must fit', (t) => {
  const { cache } = cacheWith(10)
  const session = fill(cache.create(false, 1), 1)
  t.equal(cache.resume(session.id, 1, false), session)
  t.equal(session.epoch, 2)
  t.equal(cache.resume(session.id, 1, false), ErrorCode.INVALID_FETCH_SESSION_EPOCH)
  t.equal(cache.resume(session.id, 2, true), ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
  t.equal(cache.resume(session.id + 9, 2, false), ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  session.epoch = 2_147_483_647
  t.equal(cache.resume(session.id, 2_147_483_647, false), session)
  t.equal(session.epoch, 1)
  cache.remove(session.id)
  t.equal(cache.resume(session.id, 1, false), ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  t.end()
})

t.test('a full cache replaces what is idle, then what is smaller and not new', (t) => {
  const { cache, clock } = cacheWith(2)
  const first = fill(cache.create(false, 3), 3)
  const second = fill(cache.create(false, 1), 1)
  t.equal(cache.create(false, 5), undefined, 'nobody may be replaced yet')
  clock.ms = 121_000
  cache.resume(first.id, 1, false)
  cache.resume(second.id, 1, false)
  t.equal(cache.create(false, 1), undefined, 'nobody is idle or smaller')
  fill(cache.create(false, 2), 2)
  t.equal(cache.resume(second.id, 2, false), ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  t.equal(cache.evictions, 1)
  clock.ms = 300_000
  fill(cache.create(false, 1), 1)
  t.equal(cache.resume(first.id, 2, false), ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 'idle longest')
  t.equal(cache.size, 2)
  cache.close()
  t.equal(cache.size, 0)
  t.end()
})

t.test('no slots, no sessions; too many partitions, no session', (t) => {
  t.equal(cacheWith(0).cache.create(false, 1), undefined)
  t.equal(cacheWith(9).cache.create(false, 1_000_000), undefined)
  t.end()
})

t.test('what a follower says in one session counts again when another one of it ends', (t) => {
  const { cache } = cacheWith(10)
  const [one, two] = [7, 7].map((brokerId) => fill(cache.create(false, 2, brokerId), 2))
  const others = [8, undefined].map((brokerId) => fill(cache.create(false, 2, brokerId), 2))
  if (!one || !two) throw new Error('no session')
  const looksAt = ({ list }: FetchSession) =>
    list.takeQueue().map(({ partitionIndex }) => partitionIndex)
  for (const session of [one, two, ...others]) t.same(looksAt(session), [0, 1])
  cache.forget(one, { topic: 'a', topicId: ZERO_UUID, partitionIndex: 1 })
  t.same(looksAt(two), [1])
  cache.remove(one.id)
  t.same(looksAt(two), [0], 'the other partition was not in it any more')
  for (const session of others) t.same(looksAt(session), [])
  cache.remove(two.id)
  t.equal(cache.resume(two.id, 1, false, 7), ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  const [other] = others as [FetchSession]
  t.equal(cache.resume(other.id, 1, false, 7), ErrorCode.FETCH_SESSION_ID_NOT_FOUND, "another's")
  t.equal(cache.resume(other.id, 1, false, 8), other)
  t.end()
})
