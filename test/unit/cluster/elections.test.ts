import t from 'tap'
import { ElectionType } from '../../../src/cluster/elections.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { TestMachine, topic } from './machine-fixture.ts'

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
  t.match(machine.image.partition('a', 0), { leader: -1, isr: [], elr: [1] })
  t.strictSame(unclean(), ['a-0 NONE', 'a-0 ELECTION_NOT_NEEDED'], 'once is enough')
  t.match(machine.image.partition('a', 0), { leader: 2, isr: [2], elr: [], lastKnownElr: [] })
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
