// Goal: nobody is sent to a broker that has just died, and nobody waits long for one that lives or that nobody replaces.
// Method: brokers whose ports answer as the test says, on a clock that the test moves.
import t from 'tap'
import { Departures, HOLD_MS, LISTED_MS } from '../../../src/cluster/departures.ts'
import type { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import type { DialOutcome } from '../../../src/cluster/peers.ts'

function scene(outcome: DialOutcome) {
  const timers = new Set<() => void>()
  const listings = new Set<() => void>()
  const brokers = new Map([[2, { brokerId: 2, brokerEpoch: 7, fenced: false }]])
  const dials: number[] = []
  const departures = new Departures({
    io: {
      timers: {
        schedule(delayMs: number, task: () => void) {
          if (delayMs === 0) {
            setImmediate(task)
            return { cancel: () => {} }
          }
          const row = delayMs === LISTED_MS ? listings : timers
          if (row === timers) t.equal(delayMs, HOLD_MS)
          row.add(task)
          return { cancel: () => row.delete(task) }
        },
        endOfTurn: () => {},
      } as never,
    },
    image: { brokers } as unknown as MetadataImage,
    dial: async (brokerId) => {
      dials.push(brokerId)
      return outcome
    },
  })
  return { departures, brokers, dials, timers, listings }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Whether a wait has ended. */
async function isOver(wait: Promise<void>): Promise<boolean> {
  let over = false
  void wait.then(() => {
    over = true
  })
  await turn()
  await turn()
  return over
}

t.test('a broker that is gone is waited for until the metadata says so', async (t) => {
  for (const change of ['fenced', 'registered anew', 'forgotten'] as const) {
    const { departures, brokers, timers, dials } = scene('refused')
    t.ok(await isOver(departures.settled()))
    departures.noteBroken(2)
    departures.noteBroken(2)
    t.same(dials, [2], 'dialled once')
    t.notOk(await isOver(departures.settled()), change)
    departures.noteImage()
    t.notOk(await isOver(departures.settled()), 'another change says nothing')
    const waiting = departures.settled()
    if (change === 'fenced') brokers.set(2, { brokerId: 2, brokerEpoch: 7, fenced: true })
    else if (change === 'forgotten') brokers.delete(2)
    else brokers.set(2, { brokerId: 2, brokerEpoch: 9, fenced: false })
    departures.noteImage()
    t.ok(await isOver(waiting), change)
    t.ok(await isOver(departures.settled()))
    t.equal(timers.size, 0, 'no timer is left')
  }
})

t.test('nobody waits for a broker that answers, or is silent', async (t) => {
  for (const outcome of ['answers', 'silent'] as const) {
    const { departures, timers } = scene(outcome)
    departures.noteBroken(2)
    t.ok(await isOver(departures.settled()), outcome)
    t.equal(timers.size, 0)
  }
})

t.test('what ends in the same turn in which somebody asks is seen', async (t) => {
  const { departures, brokers } = scene('refused')
  const asked = departures.settled()
  departures.noteBroken(2)
  t.notOk(await isOver(asked))
  brokers.delete(2)
  departures.noteImage()
  t.ok(await isOver(asked))
})

t.test('nobody waits longer than the hold', async (t) => {
  const { departures, timers } = scene('refused')
  departures.noteBroken(2)
  const waiting = departures.settled()
  await turn()
  for (const task of timers) task()
  t.ok(await isOver(waiting))
  t.ok(await isOver(departures.settled()))
})

t.test('nobody waits for one that is fenced or unknown, or when the broker closes', async (t) => {
  const { departures, brokers, dials } = scene('refused')
  departures.noteBroken(3)
  brokers.set(2, { brokerId: 2, brokerEpoch: 7, fenced: true })
  departures.noteBroken(2)
  t.same(dials, [])
  t.ok(await isOver(departures.settled()))
  brokers.set(2, { brokerId: 2, brokerEpoch: 8, fenced: false })
  departures.noteBroken(2)
  const waiting = departures.settled()
  departures.close()
  t.ok(await isOver(waiting))
})

t.test('who took part a moment ago is listed for a while', async (t) => {
  const { departures, brokers, listings } = scene('refused')
  const listed = () => [...departures.lately()].map(({ brokerId }) => brokerId)
  const fire = () => {
    for (const task of [...listings]) {
      listings.delete(task)
      task()
    }
  }
  departures.noteImage()
  t.same(listed(), [], 'it takes part')
  brokers.set(2, { brokerId: 2, brokerEpoch: 7, fenced: true })
  const before = departures.version
  departures.noteImage()
  departures.noteImage()
  t.same(listed(), [2])
  t.equal(departures.version, before + 1)
  fire()
  t.same(listed(), [], 'and then no longer')
  t.equal(departures.version, before + 2)

  brokers.set(2, { brokerId: 2, brokerEpoch: 8, fenced: false })
  departures.noteImage()
  brokers.set(2, { brokerId: 2, brokerEpoch: 8, fenced: true })
  departures.noteImage()
  t.same(listed(), [2])
  brokers.set(2, { brokerId: 2, brokerEpoch: 9, fenced: false })
  departures.noteImage()
  t.same(listed(), [], 'it is back: nobody is listed twice')
  t.equal(listings.size, 0)

  brokers.set(2, { brokerId: 2, brokerEpoch: 9, fenced: true })
  departures.noteImage()
  brokers.delete(2)
  departures.noteImage()
  t.same(listed(), [], 'it was unregistered')
  brokers.set(2, { brokerId: 2, brokerEpoch: 10, fenced: true })
  departures.noteImage()
  t.same(listed(), [], 'one that did not take part was never listed')
  departures.close()
  t.equal(listings.size, 0)
})
