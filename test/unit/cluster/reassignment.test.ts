import t from 'tap'
import { listReassignments } from '../../../src/cluster/reassignment.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { hasFacts } from './has-facts.ts'
import { TestMachine, topic } from './machine-fixture.ts'

const on = (...brokerIds: number[]) => ({ assignments: [{ partitionIndex: 0, brokerIds }] })

function reassign(machine: TestMachine, replicas: number[] | null, mayChangeFactor = true): string {
  const topics = [{ name: 'a', partitions: [{ partitionIndex: 0, replicas }] }]
  const command = { topics, allowReplicationFactorChange: mayChangeFactor }
  const answer = machine.run(machine.machine.alterReassignments(command))
  return errorName(answer.topics[0]?.partitions[0]?.errorCode ?? -1)
}

const state = (machine: TestMachine) => {
  const { replicas, isr, addingReplicas, removingReplicas, leader, leaderEpoch } =
    machine.image.partition('a', 0) ?? {}
  return { replicas, isr, addingReplicas, removingReplicas, leader, leaderEpoch }
}

function open(brokers: number, ...brokerIds: number[]): TestMachine {
  const machine = new TestMachine(brokers)
  machine.create([topic('a', on(...brokerIds))])
  return machine
}

t.test('replicas join before others leave, and the leader moves with them', async (t) => {
  const machine = open(4, 1, 2)
  t.equal(reassign(machine, [3, 4]), 'NONE')
  t.strictSame(state(machine), {
    replicas: [3, 4, 1, 2],
    isr: [1, 2],
    addingReplicas: [3, 4],
    removingReplicas: [1, 2],
    leader: 1,
    leaderEpoch: 0,
  })
  t.match(listReassignments(machine.image, null), [
    { name: 'a', partitions: [{ partitionIndex: 0, addingReplicas: [3, 4] }] },
  ])
  t.strictSame(machine.alterIsr('a', [1, 2, 3]).isr, [1, 2, 3], 'one of two is there')
  t.equal(errorName(machine.alterIsr('a', [1, 2, 3, 4]).errorCode), 'NEW_LEADER_ELECTED')
  t.strictSame(state(machine), {
    replicas: [3, 4],
    isr: [3, 4],
    addingReplicas: [],
    removingReplicas: [],
    leader: 3,
    leaderEpoch: 1,
  })
  t.strictSame(listReassignments(machine.image, null), [])
})

t.test('who stays need not be in sync, unless there will be fewer replicas', async (t) => {
  const replaced = open(4, 1, 2, 3)
  replaced.change(2, { fenced: true })
  t.equal(reassign(replaced, [2, 3, 4]), 'NONE')
  t.equal(errorName(replaced.alterIsr('a', [1, 3, 4]).errorCode), 'NEW_LEADER_ELECTED')
  t.strictSame(state(replaced), {
    replicas: [2, 3, 4],
    isr: [3, 4],
    addingReplicas: [],
    removingReplicas: [],
    leader: 3,
    leaderEpoch: 1,
  })
  const added = open(4, 1, 2, 3)
  added.change(2, { fenced: true })
  t.equal(reassign(added, [1, 2, 3, 4]), 'NONE')
  added.alterIsr('a', [1, 3, 4])
  t.strictSame(state(added).addingReplicas, [])
  const fewer = open(4, 1, 2, 3)
  fewer.change(2, { fenced: true })
  t.equal(reassign(fewer, [2, 3]), 'NONE')
  t.strictSame(state(fewer).removingReplicas, [1], 'two are in sync, and are not to become one')
  fewer.change(2, {})
  fewer.alterIsr('a', [1, 3, 2])
  t.strictSame(state(fewer).replicas, [2, 3])
})

t.test('another order, fewer and more replicas', async (t) => {
  const machine = open(3, 1, 2)
  t.equal(reassign(machine, [2, 1]), 'NONE')
  hasFacts(t, state(machine), { replicas: [2, 1], leader: 1, leaderEpoch: 0, addingReplicas: [] })
  t.equal(reassign(machine, [2]), 'NONE')
  hasFacts(t, state(machine), { replicas: [2], isr: [2], leader: 2, leaderEpoch: 1 }, 'at once')
  t.equal(reassign(machine, [2, 1, 3]), 'NONE')
  hasFacts(t, state(machine), { replicas: [2, 1, 3], isr: [2], addingReplicas: [1, 3] })
  machine.alterIsr('a', [2, 1, 3])
  hasFacts(t, state(machine), {
    replicas: [2, 1, 3],
    addingReplicas: [],
    leader: 2,
    leaderEpoch: 1,
  })
  t.equal(reassign(machine, [2, 1], false), 'INVALID_REPLICATION_FACTOR')
})

t.test('cancelled, also when it was replaced by another one meanwhile', async (t) => {
  const machine = open(4, 1, 2)
  t.equal(reassign(machine, null), 'NO_REASSIGNMENT_IN_PROGRESS')
  reassign(machine, [2, 3])
  hasFacts(t, state(machine), { replicas: [2, 3, 1], addingReplicas: [3], removingReplicas: [1] })
  t.equal(reassign(machine, [2, 4], false), 'NONE')
  hasFacts(t, state(machine), { addingReplicas: [3, 4], removingReplicas: [1, 3] })
  t.equal(reassign(machine, null), 'NONE')
  hasFacts(t, state(machine), { replicas: [2, 1], isr: [1, 2], addingReplicas: [], leader: 1 })
})

t.test('not cancelled when only those that came are in sync', async (t) => {
  const machine = open(3, 1)
  reassign(machine, [2, 3])
  machine.alterIsr('a', [1, 2])
  machine.change(1, { fenced: true })
  hasFacts(t, state(machine), { leader: 2, isr: [2], replicas: [2, 3, 1] })
  t.equal(reassign(machine, null), 'INVALID_REPLICA_ASSIGNMENT')
  machine.alter(2, 'a', ['unclean.leader.election.enable', 0, 'true'])
  machine.change(1, {})
  t.equal(reassign(machine, null), 'NONE')
  hasFacts(t, state(machine), { leader: 1, isr: [1], replicas: [1] })
})

t.test('a replica that fails while it joins does not stop the others for ever', async (t) => {
  const machine = open(3, 1)
  reassign(machine, [1, 2])
  machine.change(2, { fenced: true })
  hasFacts(t, state(machine), { leader: 1, isr: [1], addingReplicas: [2] })
  machine.change(2, {})
  machine.alterIsr('a', [1, 2])
  hasFacts(t, state(machine), { replicas: [1, 2], isr: [1, 2], addingReplicas: [] })
})
