import t from 'tap'
import { errorName } from '../../../src/protocol/error-code.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

const join = (machine: TestMachine, brokerId: number, other = {}) =>
  machine.run(machine.machine.registerBroker(registration(brokerId, other)))

t.test('every registration gets a greater epoch, also after the broker is gone', async (t) => {
  const machine = new TestMachine(0)
  t.equal(join(machine, 1).brokerEpoch, 0)
  t.equal(join(machine, 2).brokerEpoch, 1)
  t.equal(join(machine, 1).brokerEpoch, 2)
  machine.machine.apply({ kind: 'unregisterBroker', brokerId: 1, brokerEpoch: 2 })
  t.equal(join(machine, 1).brokerEpoch, 3)
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
  t.match(machine.image.partition('a', 99), { leader: 1, leaderEpoch: 1, isr: [1] })
})

t.test('another broker with the same id is refused while the first one lives', async (t) => {
  const machine = new TestMachine(1)
  const other = join(machine, 1, { directoryIds: ['another disk'] })
  t.equal(errorName(other.errorCode), 'DUPLICATE_BROKER_REGISTRATION')
  t.equal(machine.image.brokers.get(1)?.brokerEpoch, 0)
  const fence = { brokerId: 1, brokerEpoch: 0, fenced: true, inControlledShutdown: false }
  machine.run(machine.machine.changeBroker(fence))
  t.equal(errorName(join(machine, 1, { directoryIds: ['another disk'] }).errorCode), 'NONE')
})

t.test('a fenced leader is followed by the next in-sync replica', async (t) => {
  const machine = new TestMachine(3)
  const assignments = [
    { partitionIndex: 0, brokerIds: [1, 2, 3] },
    { partitionIndex: 1, brokerIds: [2, 3, 1] },
    { partitionIndex: 2, brokerIds: [1] as number[] },
  ]
  machine.create([topic('a', { assignments: assignments.slice(0, 2) })])
  machine.create([
    topic('alone', { assignments: [{ ...assignments[2], partitionIndex: 0, brokerIds: [1] }] }),
  ])
  const change = (brokerId: number, fenced: boolean) =>
    machine.run(
      machine.machine.changeBroker({
        brokerId,
        brokerEpoch: machine.image.brokers.get(brokerId)?.brokerEpoch ?? -1,
        fenced,
        inControlledShutdown: false,
      }),
    )
  change(1, true)
  t.match(machine.image.partition('a', 0), { leader: 2, isr: [2, 3], leaderEpoch: 1 })
  t.match(machine.image.partition('a', 1), { leader: 2, isr: [2, 3], leaderEpoch: 1 })
  t.match(machine.image.partition('alone', 0), { leader: -1, isr: [1], leaderEpoch: 1 })
  change(1, false)
  t.match(machine.image.partition('a', 0), { leader: 2, isr: [2, 3] }, 'it must catch up first')
  t.match(machine.image.partition('alone', 0), { leader: 1, isr: [1], leaderEpoch: 2 })
})

t.test(
  'leader epochs never go back, the ISR holds the leader and stays within the replicas',
  async (t) => {
    const machine = new TestMachine(4)
    machine.create([topic('a', { numPartitions: 12, replicationFactor: 3 })])
    let seed = 7
    const next = (bound: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return seed % bound
    }
    for (let round = 0; round < 300; round++) {
      const before = [...(machine.image.topic('a')?.partitions ?? [])]
      const brokerId = 1 + next(4)
      if (next(3) === 0) join(machine, brokerId, { unfenced: next(2) === 0 })
      else {
        const brokerEpoch = machine.image.brokers.get(brokerId)?.brokerEpoch ?? -1
        const change = {
          brokerId,
          brokerEpoch,
          fenced: next(2) === 0,
          inControlledShutdown: next(4) === 0,
        }
        machine.run(machine.machine.changeBroker(change))
      }
      for (const [index, after] of (machine.image.topic('a')?.partitions ?? []).entries()) {
        const { replicas, isr, leader, leaderEpoch, partitionEpoch } = after
        const was = before[index]
        const isSound =
          was !== undefined &&
          leaderEpoch >= was.leaderEpoch &&
          (leader === was.leader || leaderEpoch > was.leaderEpoch) &&
          (after === was || partitionEpoch === was.partitionEpoch + 1) &&
          isr.length > 0 &&
          isr.every((member) => replicas.includes(member)) &&
          (leader === -1 || isr.includes(leader)) &&
          (leader === -1 || machine.image.brokers.get(leader)?.fenced === false)
        if (!isSound) t.fail(`round ${round}: ${JSON.stringify({ was, after })}`)
      }
    }
    t.pass('300 changes')
  },
)

t.test('producer ids are given out once', async (t) => {
  const machine = new TestMachine(2)
  const allocate = (brokerId: number, brokerEpoch: number) =>
    machine.run(machine.machine.allocateProducerIds({ brokerId, brokerEpoch }))
  t.match(allocate(1, 0), { firstProducerId: 0, count: 1_000 })
  t.match(allocate(2, 1), { firstProducerId: 1_000, count: 1_000 })
  t.equal(errorName(allocate(1, 7).errorCode), 'STALE_BROKER_EPOCH')
  t.equal(errorName(allocate(9, 0).errorCode), 'BROKER_ID_NOT_REGISTERED')
})
