import t from 'tap'
import { type Expiring, ProduceTimeouts } from '../../../src/server/produce-timeouts.ts'
import { createSimIo } from '../../sim/sim-io.ts'

t.test('each request ends once: when its time is over or when it is taken away', async (t) => {
  const { io, random, advance } = createSimIo(7)
  const timeouts = new ProduceTimeouts(io)
  const ends = new Map<Expiring, string>()
  const nowMs = () => io.monotonic.nowMs()
  const waiting: Expiring[] = []
  for (let i = 0; i < 300; i++) {
    const request: Expiring = {
      deadlineMs: nowMs() + random.int(2_000),
      place: -1,
      expire() {
        t.equal(ends.get(request), undefined)
        t.ok(request.deadlineMs <= nowMs() && nowMs() <= request.deadlineMs + 200)
        ends.set(request, 'expired')
      },
    }
    timeouts.add(request)
    waiting.push(request)
    if (random.int(2) === 0) {
      const other = random.pick(waiting)
      timeouts.remove(other)
      if (!ends.has(other)) ends.set(other, 'removed')
    }
    await advance(random.int(20))
  }
  await advance(3_000)
  t.equal(timeouts.size, 0)
  t.equal(ends.size, waiting.length)
  t.ok([...ends.values()].includes('removed') && [...ends.values()].includes('expired'))
})

t.test('one that ends while another is told does not expire', async (t) => {
  const { io, advance } = createSimIo(1)
  const timeouts = new ProduceTimeouts(io)
  const second: Expiring = { deadlineMs: 10, place: -1, expire: () => t.fail('it was taken away') }
  timeouts.add({ deadlineMs: 10, place: -1, expire: () => timeouts.remove(second) })
  timeouts.add(second)
  await advance(1_000)
  t.equal(timeouts.size, 0)
})
