// Goal: a process that stood still counts as confirmed only when it knows what the others know.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { CATCH_UP_MS, catchUp, confirm } from '../../../src/server/confirmation.ts'
import { createSimIo } from '../../sim/sim-io.ts'

/** A broker whose metadata is at 3, of a store that is at 7. */
function behind() {
  const world = createSimIo(1)
  const image = { index: 3 }
  let waiters: (() => void)[] = []
  const asked: boolean[] = []
  const broker = {
    world,
    asked,
    isAway: false,
    isFenced: false,
    isClosed: false,
    apply(index: number) {
      image.index = index
      for (const waiter of waiters.splice(0)) waiter()
    },
    options: {
      io: world.io,
      store: {
        head: async () => {
          if (broker.isAway) throw new LmqError('LMQ_STORE_UNREACHABLE', {})
          return { index: 7, controllerEpoch: 1, controllerId: 1 }
        },
      },
      tail: {
        image: image as never,
        applied: (index: number) => {
          if (image.index >= index) return Promise.resolve()
          return new Promise<void>((resolve) => {
            waiters = [...waiters, resolve]
          })
        },
      },
      ask: async () => {
        asked.push(broker.isFenced)
        return broker.isFenced
      },
      isClosed: () => broker.isClosed,
    },
  }
  return broker
}

const later = (world: ReturnType<typeof createSimIo>, ms: number) =>
  new Promise<void>((resolve) => world.io.timers.schedule(ms, () => resolve()))

t.test('who is still behind asks again', async (t) => {
  const broker = behind()
  const { world, options, asked } = broker
  await world.run(async () => {
    let isConfirmed = false
    const confirmed = confirm(options).then(() => {
      isConfirmed = true
    })
    await later(world, 3 * CATCH_UP_MS + 1_000)
    t.equal(isConfirmed, false, 'time alone confirms nothing')
    t.ok(asked.length >= 3, `asked ${asked.length} times`)
    broker.apply(7)
    await confirmed
  })
})

t.test('one attempt says whether it is there', async (t) => {
  const broker = behind()
  const { world, options } = broker
  await world.run(async () => {
    t.equal(await catchUp(options), false)
    const caughtUp = catchUp(options)
    broker.apply(7)
    t.equal(await caughtUp, true)
    t.equal(await catchUp(options), true)
    broker.isAway = true
    await t.rejects(catchUp(options), { code: 'LMQ_STORE_UNREACHABLE' })
  })
})

t.test(
  'a store that is away holds up whom the controller has fenced, and nobody else',
  async (t) => {
    const broker = behind()
    const { world, options, asked } = broker
    await world.run(async () => {
      broker.isAway = true
      await confirm(options)
      t.same(asked, [false])
      broker.isFenced = true
      let isConfirmed = false
      const confirmed = confirm(options).then(() => {
        isConfirmed = true
      })
      await later(world, 10_000)
      t.equal(isConfirmed, false)
      broker.isAway = false
      broker.apply(7)
      await confirmed
      broker.apply(2)
      const closing = confirm(options)
      broker.isClosed = true
      await later(world, CATCH_UP_MS)
      await closing
    })
  },
)
