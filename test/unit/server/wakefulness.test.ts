// Goal: after a hang clients are served again only when the controller has answered.
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { Wakefulness } from '../../../src/server/wakefulness.ts'

/** A clock and timers that move by hand. */
function handClock() {
  let nowMs = 0
  let tasks: { atMs: number; task: () => void }[] = []
  return {
    io: {
      monotonic: { nowMs: () => nowMs },
      timers: {
        schedule(delayMs: number, task: () => void) {
          const entry = { atMs: nowMs + delayMs, task }
          tasks.push(entry)
          const cancel = () => {
            tasks = tasks.filter((each) => each !== entry)
          }
          return { cancel }
        },
        endOfTurn: (task: () => void) => task(),
        nextTurn: (task: () => void) => task(),
      },
    },
    /** Time passes and timers run when they are due. */
    pass(ms: number) {
      const endMs = nowMs + ms
      for (;;) {
        const next = tasks.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
        if (!next) break
        nowMs = Math.max(nowMs, next.atMs)
        tasks = tasks.filter((each) => each !== next)
        next.task()
      }
      nowMs = endMs
    },
    /** Time passes and nothing runs. */
    hang(ms: number) {
      nowMs += ms
    },
    now: () => nowMs,
  }
}

t.test('a process that stood still serves nobody before it is confirmed', async (t) => {
  const clock = handClock()
  const confirmations: (() => void)[] = []
  const wakefulness = new Wakefulness({
    io: clock.io,
    confirm: () => new Promise<void>((resolve) => confirmations.push(resolve)),
    logger: silentLogger,
  })
  wakefulness.start()
  clock.pass(10_000)
  t.ok(wakefulness.mayServe(clock.now()))
  clock.hang(900)
  t.ok(wakefulness.mayServe(clock.now()), 'a moment is nothing')
  clock.pass(1_000)

  clock.hang(5_000)
  t.notOk(wakefulness.mayServe(clock.now()), 'also before any timer ran')
  let told = 0
  wakefulness.wait(() => told++)
  clock.pass(3_000)
  t.notOk(wakefulness.mayServe(clock.now()), 'time does not heal it')
  t.equal(confirmations.length, 1, 'one question at a time')
  confirmations[0]?.()
  await new Promise((resolve) => setImmediate(resolve))
  t.ok(wakefulness.mayServe(clock.now()))
  t.equal(told, 1)

  clock.hang(5_000)
  clock.pass(0)
  t.notOk(wakefulness.mayServe(clock.now()), 'the timer notices it as well')
  wakefulness.close()
  t.ok(wakefulness.mayServe(clock.now()))
})
