import t from 'tap'
import { ElectionType } from '../../../src/cluster/elections.ts'
import { LeaderRecoveryState } from '../../../src/cluster/topic-image.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { hasFacts } from './has-facts.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

function elect(
  machine: TestMachine,
  electionType: number,
  topicPartitions: { topic: string; partitions: number[] }[] | null,
): string[] {
  const answer = machine.run(machine.machine.electLeaders({ electionType, topicPartitions }))
  return answer.results.flatMap((result) =>
    result.partitions.map(
      ({ partitionIndex, errorCode }) =>
        `${result.topic}-${partitionIndex} ${errorName(errorCode)}`,
    ),
  )
}

const on = (...lists: number[][]) => ({
  assignments: lists.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
})

t.test('preferred leaders', async (t) => {
  const machine = new TestMachine(3)
  machine.create([topic('a', on([1, 2], [2, 3], [3, 1]))])
  machine.change(1, { fenced: true })
  const asked = [{ topic: 'a', partitions: [0, 1, 9] }]
  t.strictSame(elect(machine, ElectionType.PREFERRED, asked), [
    'a-0 PREFERRED_LEADER_NOT_AVAILABLE',
    'a-1 ELECTION_NOT_NEEDED',
    'a-9 UNKNOWN_TOPIC_OR_PARTITION',
  ])
  machine.change(1, {})
  t.strictSame(
    elect(machine, ElectionType.PREFERRED, null),
    ['a-0 PREFERRED_LEADER_NOT_AVAILABLE'],
    'alive, but not in sync',
  )
  machine.alterIsr('a', [2, 1])
  t.strictSame(elect(machine, ElectionType.PREFERRED, null), ['a-0 NONE'])
  t.match(machine.image.partition('a', 0), { leader: 1, leaderEpoch: 2 })
  t.strictSame(elect(machine, ElectionType.PREFERRED, null), [], 'all is as it should be')
  t.equal(
    errorName(
      machine.machine.electLeaders({ electionType: 7, topicPartitions: null }).answer.errorCode,
    ),
    'INVALID_REQUEST',
  )
})

t.test('unclean elections, when somebody asks for them', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', on([1, 2]))])
  const unclean = () => elect(machine, ElectionType.UNCLEAN, [{ topic: 'a', partitions: [0, 0] }])
  t.strictSame(unclean(), ['a-0 ELECTION_NOT_NEEDED', 'a-0 ELECTION_NOT_NEEDED'])
  machine.change(2, { fenced: true })
  machine.change(1, { fenced: true })
  t.strictSame(unclean(), [
    'a-0 ELIGIBLE_LEADERS_NOT_AVAILABLE',
    'a-0 ELIGIBLE_LEADERS_NOT_AVAILABLE',
  ])
  machine.change(2, {})
  hasFacts(t, machine.image.partition('a', 0), { leader: -1, isr: [], elr: [1] })
  t.strictSame(unclean(), ['a-0 NONE', 'a-0 ELECTION_NOT_NEEDED'], 'once is enough')
  hasFacts(t, machine.image.partition('a', 0), { leader: 2, isr: [2], elr: [], lastKnownElr: [] })
})

t.test('where records are lost the leader is who has most, as far as that is known', async (t) => {
  const others = { bootId: 'boot', logsWhole: true, unfenced: false }
  const began = (...replicas: number[]) => {
    const machine = new TestMachine(4)
    machine.create([topic('a', on(replicas))])
    return machine
  }
  const unclean = (machine: TestMachine) => {
    elect(machine, ElectionType.UNCLEAN, [{ topic: 'a', partitions: [0] }])
    return machine.image.partition('a', 0)?.leader
  }
  const comesBack = (machine: TestMachine, id: number, directoryId: string) => {
    machine.change(id, { fenced: true })
    const again = registration(id, { ...others, directoryIds: [directoryId] })
    machine.run(machine.machine.registerBroker(again))
  }

  const emptied = began(1, 2, 3)
  emptied.change(3, { fenced: true })
  emptied.change(2, { fenced: true })
  comesBack(emptied, 1, 'a new disk')
  t.strictSame(emptied.image.partition('a', 0)?.emptied, [1])
  for (const id of [1, 2, 3]) emptied.change(id, {})
  t.equal(emptied.image.partition('a', 0)?.leader, -1)
  t.equal(unclean(emptied), 2, 'the first leader came back with an empty disk')
  t.strictSame(emptied.image.partition('a', 0)?.emptied, [1])
  emptied.alterIsr('a', [2, 1])
  t.strictSame(emptied.image.partition('a', 0)?.emptied, [], 'it has what the others have')

  const last = began(1, 2, 3)
  last.alter(2, 'a', ['min.insync.replicas', 0, '2'])
  last.change(1, { fenced: true })
  last.change(3, { fenced: true })
  last.change(2, { fenced: true })
  comesBack(last, 2, 'directory of 2')
  hasFacts(t, last.image.partition('a', 0), { leader: -1, lastKnownElr: [2] })
  comesBack(last, 1, 'directory of 1')
  for (const id of [1, 2]) last.change(id, {})
  t.strictSame(last.image.partition('a', 0)?.elr, [3], 'away')
  t.equal(unclean(last), 2, 'who led last')

  const added = began(1, 2)
  const partitions = [{ partitionIndex: 0, replicas: [3, 4] }]
  const command = { topics: [{ name: 'a', partitions }], allowReplicationFactorChange: true }
  added.run(added.machine.alterReassignments(command))
  added.change(2, { fenced: true })
  added.change(1, { fenced: true })
  added.change(2, {})
  t.equal(unclean(added), 2, 'not one that is being added')
})

t.test('a leader recovers from an unclean election (KIP-704)', async (t) => {
  const machine = new TestMachine(3)
  machine.create([topic('a', on([1, 2, 3]))])
  const recovery = () => machine.image.partition('a', 0)?.leaderRecoveryState
  t.equal(recovery(), LeaderRecoveryState.RECOVERED)
  const { RECOVERING, RECOVERED } = LeaderRecoveryState
  const asked = { leaderRecoveryState: RECOVERING }
  t.equal(machine.alterIsr('a', [1], asked).errorCode, ErrorCode.INVALID_REQUEST)
  machine.change(3, { fenced: true })
  machine.change(2, { fenced: true })
  machine.change(1, { fenced: true })
  machine.change(2, {})
  machine.change(3, {})
  elect(machine, ElectionType.UNCLEAN, null)
  t.equal(recovery(), RECOVERING)
  t.equal(machine.alterIsr('a', [2, 3], asked).errorCode, ErrorCode.INVALID_REQUEST)
  t.match(machine.alterIsr('a', [2], asked), { errorCode: 0, leaderRecoveryState: RECOVERING })
  t.match(machine.alterIsr('a', [2, 3]), { errorCode: 0, leaderRecoveryState: RECOVERED })
  t.equal(recovery(), RECOVERED)
})

t.test('unclean elections begin when a setting allows them', async (t) => {
  const setting = 'unclean.leader.election.enable'
  const SET = 0
  const DELETE = 1
  const machine = new TestMachine(2)
  machine.create([topic('a', on([1, 2])), topic('b', on([1, 2])), topic('c', on([1, 2]))])
  t.equal(machine.alter(2, 'b', [setting, SET, 'false']), 'NONE')
  machine.change(2, { fenced: true })
  machine.change(1, { fenced: true })
  machine.change(2, {})
  const leaders = () => ['a', 'b', 'c'].map((name) => machine.image.partition(name, 0)?.leader)
  t.strictSame(leaders(), [-1, -1, -1])
  t.equal(machine.alter(2, 'c', [setting, SET, 'true']), 'NONE')
  t.strictSame(leaders(), [-1, -1, 2], 'of one topic')
  t.equal(machine.alter(4, '', [setting, SET, 'true']), 'NONE')
  t.strictSame(leaders(), [2, -1, 2], 'of all that do not say')
  t.equal(machine.alter(2, 'b', [setting, DELETE, null]), 'NONE')
  t.strictSame(leaders(), [2, 2, 2], 'of one that says nothing any more')
})

t.test('balancing goes on in rounds', async (t) => {
  const machine = new TestMachine(2)
  machine.create([topic('a', { numPartitions: 1_500, replicationFactor: 2 })])
  machine.change(1, { fenced: true })
  machine.change(1, {})
  for (let index = 0; index < 1_500; index++)
    machine.alterIsr('a', [1, 2], { partitionIndex: index })
  const { topics } = machine.image
  const led = () => topics.get('a')?.partitions.filter(({ leader }) => leader === 1).length
  t.equal(led(), 0)
  machine.change(2, { fenced: true })
  machine.change(2, {})
  for (let index = 0; index < 1_500; index++)
    machine.alterIsr('a', [1, 2], { partitionIndex: index })
  t.equal(led(), 1_500)
  t.equal(machine.run(machine.machine.balanceLeaders()), false)
  t.equal(led(), 750)
})
