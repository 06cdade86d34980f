// Goal: the controller evens the cluster when it may, at the pace that it may, and not while it should wait.
// Method: the real machine behind a controller that applies at once; time is moved by hand.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { Balance } from '../../../src/cluster/balance.ts'
import { configRulesOf } from '../../../src/cluster/config-rules.ts'
import { ControllerMachine } from '../../../src/cluster/controller-machine.ts'
import { askDiskUsage, type DiskUsage } from '../../../src/cluster/disk-usage.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { hasFacts } from './has-facts.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

class Clock {
  #nowMs = 0
  #tasks: { atMs: number; run: () => void }[] = []
  readonly monotonic = { nowMs: () => this.#nowMs }
  readonly timers = {
    schedule: (delayMs: number, run: () => void) => {
      const task = { atMs: this.#nowMs + delayMs, run }
      this.#tasks.push(task)
      return {
        cancel: () => {
          this.#tasks = this.#tasks.filter((each) => each !== task)
        },
      }
    },
    endOfTurn: (run: () => void) => setImmediate(run),
    nextTurn: (run: () => void) => setImmediate(run),
  }

  get waiting(): number {
    return this.#tasks.length
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    for (;;) {
      const next = this.#tasks
        .filter(({ atMs }) => atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs)[0]
      if (!next) break
      this.#tasks = this.#tasks.filter((each) => each !== next)
      this.#nowMs = next.atMs
      next.run()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#nowMs = endMs
  }
}

function open(settings: Record<string, string> = {}) {
  const machine = new TestMachine(3)
  const clock = new Clock()
  const config = brokerConfigOf({
    'lmq.rebalance.enable': 'true',
    'lmq.rebalance.interval.ms': '1000',
    'lmq.rebalance.gone.after.ms': '60000',
    'leader.imbalance.check.interval.seconds': '1',
    ...settings,
  })
  const controller = {
    isActive: true,
    electLeaderless: async () => {
      const rules = configRulesOf(config)
      return machine.run(new ControllerMachine(rules, machine.image).electLeaderless())
    },
    balanceLeaders: async () => machine.run(machine.machine.balanceLeaders()),
    alterPartitionReassignments: async (
      command: Parameters<typeof machine.machine.alterReassignments>[0],
    ) => machine.run(machine.machine.alterReassignments(command)),
    incrementalAlterConfigs: async (
      command: Parameters<typeof machine.machine.incrementalAlterConfigs>[0],
    ) => machine.run(machine.machine.incrementalAlterConfigs(command)),
  }
  const usage: DiskUsage[] = []
  const balance = new Balance({
    io: clock,
    brokerId: 1,
    image: machine.image,
    controller,
    disks: async () => usage,
    config,
    logger: silentLogger,
  })
  balance.start()
  /** Followers catch up: everybody alive is in sync. */
  const catchUp = () => {
    for (const { name, partitions } of machine.image.topics.values()) {
      for (const { partitionIndex, replicas, leader, isr } of partitions) {
        if (leader < 0 || isr.length === replicas.length) continue
        const alive = replicas.filter((id) => machine.image.brokers.get(id)?.fenced === false)
        machine.alterIsr(name, alive, { partitionIndex })
      }
    }
  }
  const moving = () =>
    [...machine.image.topics.values()]
      .flatMap(({ partitions }) => partitions)
      .filter(({ addingReplicas }) => addingReplicas.length > 0).length
  return { machine, clock, config, controller, usage, balance, catchUp, moving }
}

t.test('leaders go back to preferred replicas', async (t) => {
  const { machine, clock, balance, catchUp, config } = open()
  machine.create([topic('a', { assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }] })])
  machine.change(1, { fenced: true })
  machine.change(1, {})
  await clock.pass(1_000)
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2] }, 'it is not in sync yet')
  catchUp()
  Object.assign(config, { 'auto.leader.rebalance.enable': false })
  await clock.pass(5_000)
  t.match(machine.image.partition('a', 0), { leader: 2 }, 'switched off')
  Object.assign(config, { 'auto.leader.rebalance.enable': true })
  await clock.pass(1_000)
  hasFacts(t, machine.image.partition('a', 0), { leader: 1, isr: [1, 2], leaderEpoch: 2 })
  balance.close()
  t.equal(clock.waiting, 0)
})

t.test(
  'partitions without a leader get one where the file of the controller allows it',
  async (t) => {
    for (const allowed of [false, true]) {
      const { machine, clock, balance } = open({
        'unclean.leader.election.enable': String(allowed),
        'auto.leader.rebalance.enable': 'false',
      })
      const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }]
      const configs = [{ name: 'unclean.leader.election.enable', value: 'false' }]
      machine.create([topic('a', { assignments }), topic('b', { assignments, configs })])
      machine.change(1, { fenced: true })
      machine.change(2, { fenced: true })
      machine.change(1, {})
      await clock.pass(1_000)
      t.equal(machine.image.partition('a', 0)?.leader, allowed ? 1 : -1)
      t.equal(machine.image.partition('b', 0)?.leader, -1, 'its own setting forbids it')
      balance.close()
    }
  },
)

t.test('a broker that joins gets its share, a few at a time', async (t) => {
  const { machine, clock, balance, catchUp, moving, config } = open({
    'lmq.rebalance.max.moves': '2',
  })
  machine.create([topic('a', { numPartitions: 12, replicationFactor: 2 })])
  machine.run(machine.machine.registerBroker(registration(4)))
  const { moves, waitsFor } = await balance.dryRun()
  t.equal(moves.filter(({ reason }) => reason === 'replicas').length, 6)
  t.equal(waitsFor, undefined)
  Object.assign(config, { 'lmq.rebalance.enable': false })
  await clock.pass(5_000)
  t.equal(moving(), 0, 'paused')
  Object.assign(config, { 'lmq.rebalance.enable': true })
  await clock.pass(3_000)
  t.equal(moving(), 2, 'no more until these are done')
  for (let round = 0; round < 10; round++) {
    catchUp()
    await clock.pass(1_000)
    t.ok(moving() <= 2)
  }
  t.equal(moving(), 0)
  const all = machine.image.topic('a')?.partitions ?? []
  t.equal(all.filter(({ replicas }) => replicas.includes(4)).length, 6)
  t.ok(all.every(({ replicas }) => replicas.length === 2))
  t.strictSame((await balance.dryRun()).moves, [])
  balance.close()
})

t.test('nothing moves while a broker may come back; one that is gone is replaced', async (t) => {
  const { machine, clock, balance, catchUp, moving } = open()
  machine.create([topic('a', { numPartitions: 3, replicationFactor: 2 })])
  machine.change(3, { fenced: true })
  await clock.pass(30_000)
  t.equal(moving(), 0)
  t.match((await balance.dryRun()).waitsFor, /broker 3 is away/)
  await clock.pass(40_000)
  t.ok(moving() > 0)
  catchUp()
  await clock.pass(2_000)
  const replicas = machine.image.topic('a')?.partitions.flatMap((partition) => partition.replicas)
  t.notOk(replicas?.includes(3))
  balance.close()
})

t.test('moves keep to the rate', async (t) => {
  const { machine, clock, balance, catchUp, moving, usage } = open({
    'lmq.rebalance.max.moves': '1',
    'lmq.rebalance.rate.bytes': '1024',
  })
  machine.create([topic('a', { numPartitions: 12, replicationFactor: 2 })])
  machine.run(machine.machine.registerBroker(registration(4)))
  const sizes = new Map(Array.from({ length: 12 }, (_, index) => [`a-${index}`, 10_240]))
  usage.push({ brokerId: 1, totalBytes: -1, usedBytes: 0, sizes })
  await clock.pass(1_000)
  t.equal(moving(), 1)
  catchUp()
  await clock.pass(8_000)
  t.equal(moving(), 0, '10,240 bytes at 1,024 a second')
  await clock.pass(3_000)
  t.equal(moving(), 1)
  balance.close()
})

t.test('disks of brokers that answer', async (t) => {
  const directory = {
    errorCode: ErrorCode.NONE,
    logDir: '/x',
    totalBytes: 100,
    usableBytes: 30,
    isCordoned: false,
    topics: [
      {
        name: 'a',
        partitions: [{ partitionIndex: 1, partitionSize: 7, offsetLag: 0, isFutureKey: false }],
      },
    ],
  }
  const usage = await askDiskUsage([1, 2, 3], async (brokerId) => {
    if (brokerId === 2) throw new LmqError('LMQ_REQUEST_TIMED_OUT', {})
    const unknown = { ...directory, totalBytes: -1, usableBytes: -1, topics: [] }
    const second = brokerId === 3 ? unknown : { ...directory, topics: [] }
    return { throttleTimeMs: 0, errorCode: ErrorCode.NONE, results: [directory, second] }
  })
  t.match(usage, [
    { brokerId: 1, totalBytes: 200, usedBytes: 140, sizes: new Map([['a-1', 7]]) },
    { brokerId: 3, totalBytes: -1, usedBytes: 0 },
  ])
})

t.test('moves are throttled while they last, and what a person set stays', async (t) => {
  const { machine, clock, balance, catchUp, moving } = open({
    'lmq.rebalance.max.moves': '2',
    'lmq.rebalance.rate.bytes': '1048576',
  })
  machine.create([topic('a', { numPartitions: 6, replicationFactor: 2 })])
  machine.create([topic('all', { numPartitions: 6, replicationFactor: 2 })])
  machine.alter(2, 'all', ['leader.replication.throttled.replicas', 0, '*'])
  machine.alter(4, '1', ['leader.replication.throttled.rate', 0, '7'])
  const before = [...(machine.image.topic('a')?.partitions ?? [])]
  machine.run(machine.machine.registerBroker(registration(4)))
  await clock.pass(1_000)
  t.equal(moving(), 2)
  const rates = () => Object.fromEntries(machine.image.configs(4, ''))
  t.match(rates(), {
    'leader.replication.throttled.rate': '1048576',
    'follower.replication.throttled.rate': '1048576',
  })
  const lists = () => machine.image.configs(2, 'a')
  for (const { partitionIndex, addingReplicas } of machine.image.topic('a')?.partitions ?? []) {
    const leaders = lists().get('leader.replication.throttled.replicas')?.split(',') ?? []
    const followers = lists().get('follower.replication.throttled.replicas')?.split(',') ?? []
    t.equal(followers.includes(`${partitionIndex}:4`), addingReplicas.length > 0)
    for (const replica of before[partitionIndex]?.replicas ?? []) {
      t.equal(leaders.includes(`${partitionIndex}:${replica}`), addingReplicas.length > 0)
    }
  }
  for (let round = 0; round < 10; round++) {
    catchUp()
    await clock.pass(1_000)
  }
  t.equal(moving(), 0)
  t.notOk('leader.replication.throttled.rate' in rates())
  t.notOk('follower.replication.throttled.rate' in rates())
  t.equal(lists().get('leader.replication.throttled.replicas'), undefined)
  t.equal(machine.image.configs(2, 'all').get('leader.replication.throttled.replicas'), '*')
  t.equal(lists().get('follower.replication.throttled.replicas'), undefined)
  t.equal(machine.image.configs(4, '1').get('leader.replication.throttled.rate'), '7')
  balance.close()
})
