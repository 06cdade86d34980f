// Goal: whoever leads a partition has every committed record, as long as records are lost only where the rules say so.
// Method: random lives of four brokers with logs (lists of record numbers) around the real controller machine. A leader
// commits what every member of the ISR has, while the ISR is large enough. After each step the leader's log must begin
// with what is committed, unless the last leader lost records and nobody else was eligible: then less is left.
import fc from 'fast-check'
import t from 'tap'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { hasFacts } from './has-facts.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

const BROKERS = [1, 2, 3, 4] as const

type Process = { up: boolean; log: number[]; bootId: string; isClosedInOrder: boolean }

class World {
  readonly machine = new TestMachine(BROKERS.length)
  readonly processes = new Map<number, Process>()
  /** By follower: how much of the leader's log it has, as the leader knows in its epoch. */
  acknowledged = new Map<number, number>()
  committed: number[] = []
  /** Length of the leader's log when its epoch began: who joins the ISR must have all of it. */
  #epochStart = 0
  #records = 0
  #boots = 0
  elections = 0
  losses = 0

  constructor(replicas: readonly number[], minInSync: number) {
    for (const id of BROKERS) {
      const first = registration(id, { bootId: 'boot' })
      this.machine.run(this.machine.machine.registerBroker(first))
      this.processes.set(id, { up: true, log: [], bootId: 'boot', isClosedInOrder: false })
    }
    this.machine.create([
      topic('a', {
        assignments: [{ partitionIndex: 0, brokerIds: replicas }],
        configs: [{ name: 'min.insync.replicas', value: String(minInSync) }],
      }),
    ])
  }

  get partition() {
    const partition = this.machine.image.partition('a', 0)
    if (!partition) throw new Error('no partition')
    return partition
  }

  process(id: number): Process {
    const found = this.processes.get(id)
    if (!found) throw new Error('no process')
    return found
  }

  get leader(): Process | undefined {
    const { leader } = this.partition
    return leader < 0 ? undefined : this.process(leader)
  }

  get #minInSync(): number {
    const own = this.machine.image.configs(2, 'a').get('min.insync.replicas') ?? '1'
    return Math.min(Number(own), this.partition.replicas.length)
  }

  /** Runs a command and looks at what became of the leader. */
  do(command: () => void): void {
    const before = this.partition
    command()
    const after = this.partition
    check(after.leaderEpoch >= before.leaderEpoch, 'leader epochs rise')
    check(after === before || after.partitionEpoch > before.partitionEpoch, 'partition epochs rise')
    check(after.leader === before.leader || after.leaderEpoch > before.leaderEpoch, 'a new term')
    check(after.leader === -1 || after.isr.includes(after.leader), 'the ISR holds the leader')
    const sets = [...after.isr, ...after.elr]
    check(new Set(sets).size === sets.length, 'ISR and ELR do not overlap')
    check(
      sets.every((id) => after.replicas.includes(id)),
      'they are among the replicas',
    )
    if (after.leaderEpoch === before.leaderEpoch || !this.leader) return
    this.elections++
    const { log, up } = this.leader
    const wasEligible = [...before.isr, ...before.elr].includes(after.leader)
    const isLastLeader = !wasEligible && before.lastKnownElr.includes(after.leader)
    if (isLastLeader && !startsWith(log, this.committed)) {
      this.losses++
      this.committed = [...log]
    }
    // Elected because nobody knows yet that it is dead: it does nothing in this term.
    if (!up) return
    check(startsWith(log, this.committed), 'the leader has what is committed')
    this.acknowledged = new Map([[after.leader, log.length]])
    this.#epochStart = log.length
  }

  append(): void {
    const { leader } = this
    if (!leader?.up) return
    leader.log.push(++this.#records)
    this.acknowledged.set(this.partition.leader, leader.log.length)
    this.#commit()
  }

  /** A follower cuts off what the leader does not have and takes up to `count` records. */
  replicate(id: number, count: number): void {
    const { leader } = this
    const follower = this.process(id)
    const { replicas } = this.partition
    if (!leader?.up || !follower.up || follower === leader || !replicas.includes(id)) return
    let same = 0
    while (same < follower.log.length && follower.log[same] === leader.log[same]) same++
    follower.log = leader.log.slice(0, same + count)
    this.acknowledged.set(id, follower.log.length)
    this.#commit()
  }

  #commit(): void {
    const { leader } = this
    const { isr } = this.partition
    if (!leader?.up || isr.length < this.#minInSync) return
    const end = Math.min(...isr.map((id) => this.acknowledged.get(id) ?? 0))
    if (end > this.committed.length) this.committed = leader.log.slice(0, end)
  }

  expand(id: number): void {
    const { isr } = this.partition
    const end = Math.max(this.committed.length, this.#epochStart)
    if (isr.includes(id) || (this.acknowledged.get(id) ?? 0) < end) return
    this.#alter([...isr, id])
  }

  shrink(id: number): void {
    const { isr, leader } = this.partition
    if (id !== leader) this.#alter(isr.filter((member) => member !== id))
  }

  #alter(isr: readonly number[]): void {
    if (this.leader?.up) this.do(() => this.machine.alterIsr('a', isr))
    this.#commit()
  }

  /** @param lost records at the end that do not come back */
  kill(id: number, lost: number): void {
    const process = this.process(id)
    if (!process.up) return
    process.up = false
    if (lost > 0) process.bootId = `boot ${++this.#boots}`
    process.isClosedInOrder = false
    process.log.length = Math.max(0, process.log.length - lost)
  }

  stop(id: number): void {
    const process = this.process(id)
    if (!process.up) return
    this.do(() => this.machine.change(id, { inControlledShutdown: true }))
    this.do(() => this.machine.change(id, { inControlledShutdown: true, fenced: true }))
    process.up = false
    process.isClosedInOrder = true
  }

  /** Whatever the process does: also one that only hangs may be fenced. */
  fence(id: number): void {
    this.do(() => this.machine.change(id, { fenced: true }))
    if (this.process(id).up) this.acknowledged.delete(id)
  }

  start(id: number): void {
    const process = this.process(id)
    if (process.up) return
    const previousBrokerEpoch = process.isClosedInOrder
      ? (this.machine.image.brokers.get(id)?.brokerEpoch ?? -1)
      : -1
    const state = {
      unfenced: false,
      bootId: process.bootId,
      logsWhole: true,
      previousBrokerEpoch,
    }
    process.up = true
    // What the leader knows is of one process of the follower (KIP-903).
    this.acknowledged.delete(id)
    this.do(() => this.machine.run(this.machine.machine.registerBroker(registration(id, state))))
  }

  unfence(id: number): void {
    if (this.process(id).up) this.do(() => this.machine.change(id, {}))
  }

  setMinInSync(count: number): void {
    this.do(() => this.machine.alter(2, 'a', ['min.insync.replicas', 0, String(count)]))
    this.#commit()
  }

  reassign(replicas: readonly number[] | null): void {
    const partitions = [{ partitionIndex: 0, replicas }]
    const command = { topics: [{ name: 'a', partitions }], allowReplicationFactorChange: true }
    this.do(() => this.machine.run(this.machine.machine.alterReassignments(command)))
    // Replicas that are gone delete their logs.
    for (const id of BROKERS) if (!this.partition.replicas.includes(id)) this.process(id).log = []
    this.#commit()
  }

  balance(): void {
    this.do(() => this.machine.run(this.machine.machine.balanceLeaders()))
  }
}

const startsWith = (log: readonly number[], head: readonly number[]): boolean =>
  log.length >= head.length && head.every((record, at) => log[at] === record)

function check(isTrue: boolean, rule: string): void {
  if (!isTrue) throw new Error(rule)
}

type Step = (world: World) => void
const id = fc.constantFrom(...BROKERS)
const step: fc.Arbitrary<[name: string, Step]> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<[string, Step]>(['append', (w) => w.append()]) },
  {
    weight: 10,
    arbitrary: fc.tuple(id, fc.integer({ min: 0, max: 4 })).map(([who, count]): [string, Step] => [
      `replicate ${who} ${count}`,
      (w) => {
        w.replicate(who, count)
        w.expand(who)
      },
    ]),
  },
  {
    weight: 8,
    arbitrary: id.map((who): [string, Step] => [
      `unfence ${who}`,
      (w) => {
        w.start(who)
        w.unfence(who)
      },
    ]),
  },
  { weight: 3, arbitrary: id.map((who): [string, Step] => [`start ${who}`, (w) => w.start(who)]) },
  { weight: 3, arbitrary: id.map((who): [string, Step] => [`fence ${who}`, (w) => w.fence(who)]) },
  {
    weight: 2,
    arbitrary: id.map((who): [string, Step] => [`shrink ${who}`, (w) => w.shrink(who)]),
  },
  { weight: 2, arbitrary: id.map((who): [string, Step] => [`stop ${who}`, (w) => w.stop(who)]) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(id, fc.integer({ min: 0, max: 3 }))
      .map(([who, lost]): [string, Step] => [`kill ${who} ${lost}`, (w) => w.kill(who, lost)]),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 1, max: 3 })
      .map((count): [string, Step] => [`min ${count}`, (w) => w.setMinInSync(count)]),
  },
  {
    weight: 1,
    arbitrary: fc
      .option(fc.uniqueArray(id, { minLength: 1, maxLength: 3 }))
      .map((ids): [string, Step] => [`reassign ${ids}`, (w) => w.reassign(ids)]),
  },
  { weight: 1, arbitrary: fc.constant<[string, Step]>(['balance', (w) => w.balance()]) },
)

t.test('a leader has every committed record', async (t) => {
  let elections = 0
  let losses = 0
  fc.assert(
    fc.property(
      fc.uniqueArray(id, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }),
      (replicas, minInSync, steps) => {
        const world = new World(replicas, minInSync)
        const story: string[] = []
        try {
          for (const [name, act] of steps) {
            story.push(name)
            act(world)
          }
        } catch (error) {
          throw new Error(
            `${String(error)} after ${story.join('; ')}: ${JSON.stringify(world.partition)}`,
          )
        }
        elections += world.elections
        losses += world.losses
      },
    ),
    { numRuns: Number(process.env['LMQ_RUNS'] ?? 400) },
  )
  t.ok(elections > 400, `${elections} elections, ${losses} times the last leader had lost records`)
})

t.test('a partition comes back when all its replicas do', async () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(id, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }),
      (replicas, minInSync, steps) => {
        const world = new World(replicas, minInSync)
        for (const [, act] of steps) act(world)
        for (const who of BROKERS) world.start(who)
        for (const who of BROKERS) world.unfence(who)
        for (let round = 0; round < 2; round++) {
          for (const who of BROKERS) {
            world.replicate(who, 1_000)
            world.expand(who)
          }
        }
        const { leader, isr, addingReplicas } = world.partition
        check(leader !== -1, 'it has a leader')
        check(isr.length === world.partition.replicas.length, `all are in sync: ${isr}`)
        check(addingReplicas.length === 0, 'its reassignment is over')
      },
    ),
    { numRuns: 200 },
  )
})

t.test('what a leader asks for is checked', async (t) => {
  const machine = new TestMachine(4)
  machine.create([topic('a', { assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }] })])
  const ask = (isr: readonly number[], other = {}) => machine.alterIsr('a', isr, other).errorCode
  machine.change(3, { fenced: true })
  t.equal(ask([1, 2], { leaderEpoch: 7 }), ErrorCode.NOT_CONTROLLER)
  t.equal(ask([1, 2], { partitionEpoch: 7 }), ErrorCode.NOT_CONTROLLER)
  t.equal(ask([1, 2], { leaderEpoch: -1 }), ErrorCode.FENCED_LEADER_EPOCH)
  t.equal(ask([1, 2], { partitionEpoch: 0 }), ErrorCode.INVALID_UPDATE_VERSION)
  t.equal(ask([1, 2, 3]), ErrorCode.INELIGIBLE_REPLICA, '3 is fenced')
  t.equal(ask([1, 4]), ErrorCode.INVALID_REQUEST, '4 is no replica')
  t.equal(ask([2]), ErrorCode.INVALID_REQUEST, 'the leader must be in it')
  t.equal(ask([1, 2, 2]), ErrorCode.INVALID_REQUEST, 'twice the same')
  t.equal(ask([1], { topicId: 'unknown' }), ErrorCode.UNKNOWN_TOPIC_ID)
  t.equal(ask([1], { partitionIndex: 5 }), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  machine.change(3, {})
  const stale = { isr: [1, 2, 3].map((brokerId) => ({ brokerId, brokerEpoch: 0 })) }
  t.equal(ask([], stale), ErrorCode.INELIGIBLE_REPLICA, 'another process is meant')
  t.match(machine.alterIsr('a', [1, 2, 3]), {
    errorCode: ErrorCode.NONE,
    isr: [1, 2, 3],
    leader: 1,
  })
  hasFacts(t, machine.alterIsr('a', [1]), { isr: [1], leaderEpoch: 0, partitionEpoch: 3 })
  machine.change(2, { inControlledShutdown: true })
  t.equal(ask([1, 2]), ErrorCode.INELIGIBLE_REPLICA, '2 is about to stop')
  const stranger = { brokerId: 1, brokerEpoch: 99, changes: [] }
  t.match(machine.machine.alterPartition(stranger).answer, {
    errorCode: ErrorCode.STALE_BROKER_EPOCH,
  })
})
