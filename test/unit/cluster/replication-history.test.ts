// Goal: whatever leaders, failures and cut connections do, no committed record is lost or changed, and all logs agree in
// the end (KIP-101, KIP-279, KIP-320).
// Method: random histories of one partition on three brokers in simulated time. Leaders are elected from the ISR only;
// a broker whose log lost its tail leaves the ISR with its registration, as the controller has it.
import fc from 'fast-check'
import t from 'tap'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import { recordsOf, type TestBroker, TestCluster } from './replication-fixture.ts'

type Step =
  | { readonly kind: 'append'; readonly at: number; readonly acks: number; readonly count: number }
  | { readonly kind: 'elect'; readonly to: number; readonly deaf: boolean }
  | { readonly kind: 'cut' | 'heal' | 'hear' | 'restart' | 'drop'; readonly id: number }
  | { readonly kind: 'lose'; readonly id: number; readonly share: number }
  | { readonly kind: 'pause'; readonly ms: number }
  | Takeover

/** The leader is cut off and goes on alone; another leads; the first one comes back, and perhaps leads again at once. */
type Takeover = {
  readonly kind: 'takeover'
  readonly to: number
  readonly alone: number
  readonly after: number
  readonly pauseMs: number
  readonly back: boolean
  readonly next: number
}

const id = fc.integer({ min: 1, max: 3 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      at: id,
      acks: fc.constantFrom(1, -1, -1),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('elect' as const), to: id, deaf: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'cut' as const,
        'heal' as const,
        'heal' as const,
        'hear' as const,
        'restart' as const,
        'drop' as const,
      ),
      id,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      id,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('takeover' as const),
      to: id,
      alone: fc.integer({ min: 0, max: 4 }),
      after: fc.integer({ min: 0, max: 6 }),
      pauseMs: fc.constantFrom(0, 0.5, 1, 1.5, 2, 3, 5, 30),
      back: fc.boolean(),
      next: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('pause' as const),
      ms: fc.constantFrom(1, 3, 10, 60, 700, 4_000),
    }),
  },
)

class History {
  readonly #cluster: TestCluster
  /** What consumers saw below a high watermark, by offset. */
  readonly #seen = new Map<number, string>()
  /** By offset. */
  readonly #acknowledged = new Map<number, string>()
  #values = 0
  #failure: string | undefined

  constructor(cluster: TestCluster) {
    this.#cluster = cluster
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const id of [1, 2, 3]) await this.#cluster.start(id)
    this.#cluster.create([1, 2, 3], {
      'min.insync.replicas': '1',
      'index.interval.bytes': '0',
      'segment.index.bytes': '96',
    })
    for (const one of steps) {
      await this.#take(one)
      await this.#look()
      if (this.#failure) throw new Error(this.#failure)
    }
    await this.#heal()
    await this.#check()
  }

  async #take(one: Step): Promise<void> {
    const cluster = this.#cluster
    switch (one.kind) {
      case 'append':
        this.#append(cluster.broker(one.at), one.acks, one.count)
        return
      case 'elect':
        if (!cluster.state.isr.includes(one.to) || one.to === cluster.state.leader) return
        // Whoever leads now may not hear of it for a while, and go on as before.
        if (one.deaf) cluster.deaf.add(cluster.state.leader)
        cluster.deaf.delete(one.to)
        cluster.tell(cluster.broker(one.to))
        cluster.decide({ leader: one.to })
        return
      case 'cut':
        cluster.broker(one.id).isReachable = false
        for (const broker of cluster.brokers.values()) broker.cut()
        return
      case 'heal':
        cluster.broker(one.id).isReachable = true
        return
      case 'hear':
        cluster.deaf.delete(one.id)
        cluster.tell(cluster.broker(one.id))
        return
      case 'drop':
        // The controller takes a member out: it was fenced.
        if (cluster.state.leader !== one.id && cluster.state.isr.includes(one.id)) {
          cluster.decide({ isr: cluster.state.isr.filter((other) => other !== one.id) })
        }
        return
      case 'restart':
        await this.#restart(one.id, undefined)
        return
      case 'lose':
        await this.#restart(one.id, one.share)
        return
      case 'pause':
        await cluster.pause(one.ms)
        return
      case 'takeover':
        await this.#takeOver(one)
    }
  }

  async #takeOver({ to, alone, after, pauseMs, back, next }: Takeover): Promise<void> {
    const cluster = this.#cluster
    const first = cluster.leader
    if (to === first.id || !cluster.state.isr.includes(to)) return
    first.isReachable = false
    first.cut()
    await cluster.pause(1)
    // Meanwhile it may have left the ISR: then it is not elected.
    if (!cluster.state.isr.includes(to) || cluster.leader !== first) return
    if (alone > 0) this.#append(first, -1, alone)
    cluster.deaf.add(first.id)
    cluster.deaf.delete(to)
    cluster.tell(cluster.broker(to))
    cluster.decide({ leader: to })
    if (after > 0) this.#append(cluster.broker(to), -1, after)
    if (!back) return
    await cluster.pause(pauseMs)
    first.isReachable = true
    cluster.deaf.delete(first.id)
    cluster.tell(first)
    await cluster.pause(pauseMs)
    await this.#look()
    if (next === 0 || next === to || !cluster.state.isr.includes(next)) return
    cluster.deaf.delete(next)
    cluster.tell(cluster.broker(next))
    cluster.decide({ leader: next })
    this.#append(cluster.broker(next), -1, 1)
  }

  /** @param share of the log that survives; undefined: all of it, and the broker stays in the ISR */
  async #restart(id: number, share: number | undefined): Promise<void> {
    const cluster = this.#cluster
    const { isr, leader } = cluster.state
    const others = isr.filter((other) => other !== id)
    // Nobody else has what it has: there is no clean way on without it.
    if (share !== undefined && isr.includes(id) && others.length === 0) return
    const before = cluster.broker(id)
    cluster.deaf.delete(id)
    await before.stop()
    if (share !== undefined && isr.includes(id)) {
      if (leader === id) cluster.decide({ leader: others[0] as number, isr: others })
      else cluster.decide({ isr: others })
    } else if (leader === id) cluster.decide({ renew: true })
    cluster.deaf.add(id)
    const after = await cluster.start(id, undefined, share)
    cluster.deaf.delete(id)
    cluster.tell(after)
    // Its registration gives what it leads a new epoch.
    if (cluster.state.leader === id) cluster.decide({ renew: true })
  }

  #append(broker: TestBroker, acks: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const value = `v${this.#values++}`
      broker.append(value, acks).then(({ errorCode, baseOffset }) => {
        if (acks !== -1 || errorCode !== ErrorCode.NONE) return
        const other = this.#acknowledged.get(baseOffset)
        if (other) {
          this.#failure = `offset ${baseOffset} was acknowledged for ${other} and ${value}`
        }
        this.#acknowledged.set(baseOffset, value)
      })
    }
  }

  /** Consumers read from every replica, up to what it calls committed. */
  async #look(): Promise<void> {
    for (const broker of this.#cluster.brokers.values()) {
      const { partition } = broker
      if (partition.log.state !== 'open') continue
      const before = partition.log.truncations
      const end = partition.highWatermark
      const records = await recordsOf(partition, end)
      if (before !== partition.log.truncations) continue
      for (const record of records) {
        const [offset, , value] = record.split(':')
        const known = this.#seen.get(Number(offset))
        if (known !== undefined && known !== value) {
          throw new Error(`offset ${offset} was ${known} and is ${value} on broker ${broker.id}`)
        }
        this.#seen.set(Number(offset), value as string)
      }
    }
  }

  async #heal(): Promise<void> {
    const cluster = this.#cluster
    cluster.deaf.clear()
    for (const broker of cluster.brokers.values()) {
      broker.isReachable = true
      cluster.tell(broker)
    }
    await cluster.until('all are in sync', () => cluster.state.isr.length === 3)
    const { errorCode } = await cluster.leader.append('last')
    if (errorCode !== ErrorCode.NONE) throw new Error(`the last append gives ${errorCode}`)
    const end = cluster.leader.partition.logEndOffset
    await cluster.until('all know it', () =>
      [...cluster.brokers.values()].every(({ partition }) => partition.highWatermark === end),
    )
  }

  async #check(): Promise<void> {
    if (this.#failure) throw new Error(this.#failure)
    await this.#look()
    const logs: string[][] = []
    for (const { partition } of this.#cluster.brokers.values()) {
      logs.push(await recordsOf(partition, partition.logEndOffset))
    }
    const [first = [], ...others] = logs.map((log) => log.join(' '))
    for (const other of others) {
      if (other !== first) throw new Error(`logs differ:\n${first}\n${other}`)
    }
    const values = new Map(
      (logs[0] ?? []).map((one) => [Number(one.split(':')[0]), one.split(':')[2]]),
    )
    for (const [offset, value] of [...this.#acknowledged, ...this.#seen]) {
      if (values.get(offset) !== value) {
        throw new Error(`offset ${offset}: ${value} was committed, now ${values.get(offset)}`)
      }
    }
    const epochs = [...this.#cluster.brokers.values()].map(({ partition }) =>
      JSON.stringify(partition.log.epochs.entries),
    )
    if (new Set(epochs).size > 1) throw new Error(`epochs differ: ${epochs.join(' ')}`)
  }
}

const runs = process.env['LMQ_LONG'] ? 5_000 : process.env['LMQ_QUICK'] ? 30 : 300

t.setTimeout(900_000)

t.test('no committed record is lost, and logs agree', { timeout: 600_000 }, async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 1e9 }),
      fc.array(step, { maxLength: 40 }),
      async (seed, steps) => {
        const world = createSimIo(seed)
        await world.run(async () => {
          const cluster = new TestCluster(world.io, '/data', { 'replica.lag.time.max.ms': '3000' })
          await new History(cluster).run(steps)
          await cluster.stop()
        })
      },
    ),
    { numRuns: runs },
  )
  t.pass(`${runs} histories`)
})
