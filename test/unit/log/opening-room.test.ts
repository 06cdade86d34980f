// Goal: batches that are opened at the same time stay within a bound, in the order in which they came.
import t from 'tap'
import { OpeningRoom } from '../../../src/log/opening-room.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))

function openingOf(room: OpeningRoom, sizeBytes: number) {
  const opening = { hasBegun: false, end: (_error?: Error) => {} }
  const done = room.run(sizeBytes, () => {
    opening.hasBegun = true
    return new Promise<void>((resolve, reject) => {
      opening.end = (error) => (error ? reject(error) : resolve())
    })
  })
  done.catch(() => {})
  return { opening, done }
}

t.test('nobody overtakes', async (t) => {
  const room = new OpeningRoom(100)
  const all = [60, 30, 50, 10].map((sizeBytes) => openingOf(room, sizeBytes))
  const begun = () => all.map(({ opening }) => opening.hasBegun)
  await settled()
  t.same(begun(), [true, true, false, false], 'the last one had room, but another came first')
  all[1]?.opening.end(new Error('broken'))
  await t.rejects(all[1]?.done as Promise<void>, /broken/)
  t.same(begun(), [true, true, false, false])
  all[0]?.opening.end()
  await settled()
  t.same(begun(), [true, true, true, true])
  t.equal(room.usedBytes, 60)
  all[2]?.opening.end()
  all[3]?.opening.end()
  await settled()
  t.equal(room.usedBytes, 0)
})

t.test('what is larger than the room is let in alone', async (t) => {
  const room = new OpeningRoom(100)
  const large = openingOf(room, 500)
  const next = openingOf(room, 1)
  await settled()
  t.same([large.opening.hasBegun, next.opening.hasBegun], [true, false])
  large.opening.end()
  await settled()
  t.equal(next.opening.hasBegun, true)
  next.opening.end()
})
