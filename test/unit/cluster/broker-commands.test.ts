import t from 'tap'
import { errorName } from '../../../src/protocol/error-code.ts'
import { hasFacts } from './has-facts.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

const join = (machine: TestMachine, brokerId: number, other = {}) =>
  machine.run(machine.machine.registerBroker(registration(brokerId, other)))

const on = (...brokerIds: number[]) => ({ assignments: [{ partitionIndex: 0, brokerIds }] })

t.test('every registration gets a greater epoch, also after the broker is gone', async (t) => {
  const machine = new TestMachine(0)
  t.equal(join(machine, 1).brokerEpoch, 0)
  t.equal(join(machine, 2).brokerEpoch, 1)
  t.equal(join(machine, 1).brokerEpoch, 2)
  machine.machine.apply({ kind: 'unregisterBroker', brokerId: 1, brokerEpoch: 2 })
  t.equal(join(machine, 1).brokerEpoch, 3)
})

t.test('a process that registers twice is told the same epoch', async (t) => {
  const machine = new TestMachine(1)
  const again = { incarnationId: 'the same process', unfenced: false }
  t.equal(join(machine, 2, again).brokerEpoch, 1)
  machine.change(2, { fenced: false })
  t.equal(join(machine, 2, again).brokerEpoch, 1)
  t.equal(machine.image.brokers.get(2)?.fenced, false)
})

t.test('a restarted broker leads on, under new epochs, by one record', async (t) => {
  const machine = new TestMachine(1)
  machine.create([topic('a', { numPartitions: 100 })])
  const decision = machine.machine.registerBroker(registration(1))
  t.equal(decision.records.length, 2)
  machine.run(decision)
  for (const { leader, leaderEpoch, partitionEpoch } of machine.image.topic('a')?.partitions ??
    []) {
    if (leader !== 1 || leaderEpoch !== 1 || partitionEpoch !== 1) t.fail('not renewed')
  }
  hasFacts(t, machine.image.partition('a', 99), { leader: 1, leaderEpoch: 1, isr: [1] })
})

t.test('another broker with the same id is refused while the first one lives', async (t) => {
  const machine = new TestMachine(1)
  const other = join(machine, 1, { directoryIds: ['another disk'] })
  t.equal(errorName(other.errorCode), 'DUPLICATE_BROKER_REGISTRATION')
  t.equal(machine.image.brokers.get(1)?.brokerEpoch, 0)
  machine.change(1, { fenced: true })
  t.equal(errorName(join(machine, 1, { directoryIds: ['another disk'] }).errorCode), 'NONE')
})

t.test('a fenced leader is followed by the next in-sync replica', async (t) => {
  const machine = new TestMachine(3)
  machine.create([
    topic('a', {
      assignments: [
        { partitionIndex: 0, brokerIds: [1, 2, 3] },
        { partitionIndex: 1, brokerIds: [2, 3, 1] },
      ],
    }),
    topic('alone', on(1)),
  ])
  machine.change(1, { fenced: true })
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2, 3], leaderEpoch: 1 })
  // A smaller ISR alone is no new term (KAFKA-15021).
  t.match(machine.image.partition('a', 1), {
    leader: 2,
    isr: [2, 3],
    leaderEpoch: 0,
    partitionEpoch: 1,
  })
  hasFacts(t, machine.image.partition('alone', 0), {
    leader: -1,
    isr: [],
    elr: [1],
    leaderEpoch: 1,
  })
  machine.change(1, { fenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2, 3] }, 'it must catch up first')
  hasFacts(t, machine.image.partition('alone', 0), { leader: 1, isr: [1], elr: [], leaderEpoch: 2 })
})

t.test('who comes back with everything stays in sync, but leads nothing', async (t) => {
  const whole = { unfenced: false, logsWhole: true }
  const states: [string, object, number[]][] = [
    ['closed in order', { ...whole, previousBrokerEpoch: 0 }, [1, 2]],
    ['closed in order, an earlier time', { ...whole, previousBrokerEpoch: 5 }, [2]],
    ['killed, machine still up', { ...whole, bootId: 'boot' }, [1, 2]],
    ['machine restarted', { ...whole, bootId: 'another boot' }, [2]],
    ['a log was cut', { ...whole, bootId: 'boot', logsWhole: false }, [2]],
    ['one of two disks is new', { ...whole, bootId: 'boot', directoryIds: ['x', 'new'] }, [2]],
    ['a disk more', { ...whole, bootId: 'boot', directoryIds: ['x', 'y', 'new'] }, [1, 2]],
  ]
  for (const [name, state, isr] of states) {
    const machine = new TestMachine(0)
    join(machine, 1, { bootId: 'boot', directoryIds: ['x', 'y'] })
    join(machine, 2)
    machine.create([topic('a', on(1, 2))])
    join(machine, 1, { directoryIds: ['x', 'y'], ...state })
    t.match(machine.image.partition('a', 0), { leader: 2, isr, leaderEpoch: 1 }, name)
    t.equal(machine.image.brokers.get(1)?.fenced, true)
    machine.change(1, { fenced: true })
    t.strictSame(machine.image.partition('a', 0)?.isr, [2], `${name}; gone again`)
  }
})

t.test('eligible leaders (KIP-966)', async (t) => {
  const machine = new TestMachine(3)
  machine.create([topic('a', { ...on(1, 2, 3), ...minInSync(2) })])
  const state = () => {
    const { leader, isr, elr, lastKnownElr } = machine.image.partition('a', 0) ?? {}
    return { leader, isr, elr, lastKnownElr }
  }
  machine.change(3, { fenced: true })
  t.strictSame(state(), { leader: 1, isr: [1, 2], elr: [], lastKnownElr: [] }, 'enough are left')
  machine.change(2, { fenced: true })
  t.strictSame(state(), { leader: 1, isr: [1], elr: [2], lastKnownElr: [] })
  join(machine, 1, { unfenced: false })
  t.strictSame(state(), { leader: -1, isr: [], elr: [2], lastKnownElr: [1] }, '1 lost records')
  machine.change(1, { fenced: false })
  machine.change(3, { fenced: false })
  t.strictSame(state(), { leader: -1, isr: [], elr: [2], lastKnownElr: [1] }, '2 has more')
  machine.change(2, { fenced: false })
  t.strictSame(state(), { leader: 2, isr: [2], elr: [], lastKnownElr: [] })
})

t.test('who was found gone together stays eligible, whoever comes back', async (t) => {
  const machine = new TestMachine(3)
  machine.create([topic('a', on(3, 1)), topic('b', on(3, 1, 2)), topic('c', on(2, 1))])
  machine.fence(3, 1)
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, isr: [], elr: [3, 1] })
  hasFacts(t, machine.image.partition('b', 0), { leader: 2, isr: [2], elr: [] }, 'one was left')
  hasFacts(t, machine.image.partition('c', 0), { leader: 2, isr: [2], elr: [] })
  t.same(
    [1, 3].map((id) => machine.image.brokers.get(id)?.fenced),
    [true, true],
  )
  join(machine, 1, { unfenced: false, directoryIds: ['a new disk'] })
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, elr: [3] }, '1 has nothing any more')
  machine.change(3, { fenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: 3, isr: [3] })
})

t.test('another process of a broker than the one that was found gone is not fenced', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', on(1, 2))])
  const runs = [1, 2].map((brokerId) => {
    return { brokerId, brokerEpoch: machine.image.brokers.get(brokerId)?.brokerEpoch ?? -1 }
  })
  join(machine, 1, { unfenced: true })
  machine.run(machine.machine.fenceBrokers(runs))
  t.same(
    [1, 2].map((id) => machine.image.brokers.get(id)?.fenced),
    [false, true],
  )
})

t.test('the last leader leads again when nobody else could have more', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', on(1, 2))])
  machine.change(2, { fenced: true })
  join(machine, 1, { unfenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, isr: [], elr: [], lastKnownElr: [1] })
  machine.change(2, { fenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, isr: [] }, '2 was not in sync')
  machine.change(1, { fenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: 1, isr: [1], lastKnownElr: [] })
})

t.test('a broker with another disk does not lead over replicas that have something', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', on(1, 2)), topic('alone', on(1))])
  machine.change(2, { fenced: true })
  const before = machine.image.partition('a', 0)
  hasFacts(t, before, { leader: 1, isr: [1], elr: [] })
  machine.change(1, { fenced: true })
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, isr: [], elr: [1] })
  join(machine, 1, { unfenced: false, directoryIds: ['a new disk'] })
  machine.change(1, { fenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, isr: [], elr: [], lastKnownElr: [] })
  t.match(machine.image.partition('alone', 0), { leader: 1 }, 'nobody else has anything')
  machine.change(2, { fenced: false })
  t.match(machine.image.partition('a', 0), { leader: -1 }, 'nor without being asked')
  const topicPartitions = [{ topic: 'a', partitions: [0] }]
  machine.run(machine.machine.electLeaders({ electionType: 1, topicPartitions }))
  t.not(machine.image.partition('a', 0)?.leader, -1)
})

t.test('unclean elections where they are allowed', async (t) => {
  const machine = new TestMachine(2)
  const configs = [{ name: 'unclean.leader.election.enable', value: 'true' }]
  machine.create([topic('a', { ...on(1, 2), configs }), topic('b', on(1, 2))])
  machine.change(2, { fenced: true })
  machine.change(1, { fenced: true })
  machine.change(2, { fenced: false })
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2], elr: [], lastKnownElr: [] })
  hasFacts(t, machine.image.partition('b', 0), { leader: -1, isr: [], elr: [1] })
  t.equal(machine.alter(2, 'b', ['unclean.leader.election.enable', 0, 'true']), 'NONE')
  hasFacts(t, machine.image.partition('b', 0), { leader: 2, isr: [2], elr: [] }, 'allowed later')
})

t.test('nobody is eligible any more when fewer members may commit', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', { ...on(1, 2), ...minInSync(2) })])
  machine.change(2, { fenced: true })
  hasFacts(t, machine.image.partition('a', 0), { isr: [1], elr: [2] })
  t.equal(machine.alter(2, 'a', ['min.insync.replicas', 1, null]), 'NONE')
  hasFacts(t, machine.image.partition('a', 0), { isr: [1], elr: [] })
  t.equal(machine.alter(4, '', ['min.insync.replicas', 0, '2']), 'NONE')
  machine.change(2, { fenced: false })
  machine.alterIsr('a', [1, 2])
  machine.change(2, { fenced: true })
  hasFacts(
    t,
    machine.image.partition('a', 0),
    { isr: [1], elr: [2] },
    "the cluster's default counts",
  )
  // Else the controller and this broker would not agree on who may commit.
  t.match(machine.alter(4, '1', ['min.insync.replicas', 0, '1']), /INVALID_CONFIG Broker-level/)
})

t.test('brokers of a cluster agree on who may commit, whatever their files say', async (t) => {
  const machine = new TestMachine(0)
  join(machine, 1, { unfenced: false })
  const configs = () => machine.image.configs(4, '').get('min.insync.replicas')
  t.equal(configs(), '1')
  t.equal(machine.alter(4, '', ['min.insync.replicas', 0, '2']), 'NONE')
  join(machine, 2, { unfenced: false })
  t.equal(configs(), '2')
  t.match(machine.alter(4, '', ['min.insync.replicas', 1, null]), /INVALID_CONFIG Cluster-level/)
  const alone = new TestMachine(1)
  t.equal(alone.image.configs(4, '').size, 0)
})

t.test('a controlled shutdown hands everything over', async (t) => {
  const machine = new TestMachine(3)
  machine.create([topic('a', on(1, 2, 3)), topic('b', on(2, 1, 3)), topic('alone', on(1))])
  machine.change(1, { inControlledShutdown: true })
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2, 3] })
  hasFacts(t, machine.image.partition('b', 0), { leader: 2, isr: [2, 3] })
  hasFacts(t, machine.image.partition('alone', 0), { leader: -1, isr: [], elr: [1] })
  machine.change(1, { inControlledShutdown: true, fenced: true })
  join(machine, 1, { unfenced: false })
  machine.change(1, {})
  t.match(machine.image.brokers.get(1), { fenced: false, inControlledShutdown: false })
})

t.test('an unregistered broker is in sync nowhere', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', { ...on(1, 2), ...minInSync(2) }), topic('b', on(2, 1))])
  machine.change(1, { fenced: true })
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2], elr: [1] })
  const unregister = (brokerId: number) =>
    machine.run(machine.machine.unregisterBroker(brokerId)).errorCode
  t.equal(errorName(unregister(2)), 'INVALID_REQUEST', 'it is alive')
  t.equal(errorName(unregister(1)), 'NONE')
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, replicas: [1, 2], isr: [2], elr: [] })
  t.equal(errorName(unregister(1)), 'BROKER_ID_NOT_REGISTERED')
  t.equal(errorName(machine.change(1, {})), 'BROKER_ID_NOT_REGISTERED')
})

t.test('producer ids are given out once', async (t) => {
  const machine = new TestMachine(2)
  const allocate = (brokerId: number, brokerEpoch: number) =>
    machine.run(machine.machine.allocateProducerIds({ brokerId, brokerEpoch }))
  t.match(allocate(1, 0), { firstProducerId: 0, count: 1_000 })
  t.match(allocate(2, 1), { firstProducerId: 1_000, count: 1_000 })
  t.equal(errorName(allocate(1, 7).errorCode), 'STALE_BROKER_EPOCH')
  t.equal(errorName(allocate(9, 0).errorCode), 'BROKER_ID_NOT_REGISTERED')
})

function minInSync(count: number) {
  return { configs: [{ name: 'min.insync.replicas', value: String(count) }] }
}
