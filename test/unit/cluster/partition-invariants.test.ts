// Goal: what must hold of every partition holds after every command, whatever came before it.
// Method: random commands of all kinds, sound and unsound, around the real controller machine.
import fc from 'fast-check'
import t from 'tap'
import type { PartitionImage, TopicImage } from '../../../src/cluster/topic-image.ts'
import { LeaderRecoveryState } from '../../../src/cluster/topic-image.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

const BROKERS = [1, 2, 3, 4, 5] as const
const SET = 0
const DELETE = 1
const TOPIC = 2
const BROKER = 4

type Step = readonly [name: string, act: (machine: TestMachine) => void]
/** Only these may change how many replicas a partition is to have. */
const movesReplicas = /^reassign/

const id = fc.constantFrom(...BROKERS)
const name = fc.constantFrom('a', 'b')
const ids = fc.uniqueArray(id, { minLength: 1, maxLength: 4 })

const changes: fc.Arbitrary<Step> = fc
  .tuple(id, fc.boolean(), fc.boolean())
  .map(([who, fenced, inControlledShutdown]) => [
    `change ${who} ${fenced} ${inControlledShutdown}`,
    (machine) => machine.change(who, { fenced, inControlledShutdown }),
  ])
const returns: fc.Arbitrary<Step> = fc
  .tuple(id, fc.constantFrom('same', 'unknown', 'torn', 'another disk'), fc.boolean())
  .map(([who, disk, unfenced]) => [
    `return ${who} ${disk} ${unfenced}`,
    (machine) => {
      machine.change(who, { fenced: true })
      const directoryIds = [disk === 'another disk' ? `new of ${who}` : `directory of ${who}`]
      const bootId = disk === 'unknown' ? null : 'boot'
      const state = { directoryIds, bootId, logsWhole: disk !== 'torn', unfenced }
      machine.run(machine.machine.registerBroker(registration(who, state)))
    },
  ])
const leaves: fc.Arbitrary<Step> = id.map((who) => [
  `unregister ${who}`,
  (machine) => {
    machine.change(who, { fenced: true })
    machine.run(machine.machine.unregisterBroker(who))
    machine.run(machine.machine.registerBroker(registration(who)))
  },
])
const asks: fc.Arbitrary<Step> = fc
  .tuple(name, fc.array(id, { maxLength: 4 }), fc.boolean(), fc.integer({ min: 0, max: 1 }))
  .map(([which, isr, withLeader, leaderRecoveryState]) => [
    `ask ${which} ${isr} ${withLeader} ${leaderRecoveryState}`,
    (machine) => {
      const { leader = -1 } = machine.image.partition(which, 0) ?? {}
      if (leader === -1) return
      const members = withLeader && !isr.includes(leader as never) ? [leader, ...isr] : isr
      machine.alterIsr(which, members, { leaderRecoveryState })
    },
  ])
const moves: fc.Arbitrary<Step> = fc.tuple(name, fc.option(ids)).map(([which, replicas]) => [
  `reassign ${which} ${replicas}`,
  (machine) => {
    const partitions = [{ partitionIndex: 0, replicas }]
    const command = { topics: [{ name: which, partitions }], allowReplicationFactorChange: true }
    machine.run(machine.machine.alterReassignments(command))
  },
])
const elections: fc.Arbitrary<Step> = fc
  .integer({ min: 0, max: 1 })
  .map((electionType) => [
    `elect ${electionType}`,
    (machine) => machine.run(machine.machine.electLeaders({ electionType, topicPartitions: null })),
  ])
const balances: fc.Arbitrary<Step> = fc.constant([
  'balance',
  (machine) => {
    machine.run(machine.machine.electLeaderless())
    machine.run(machine.machine.balanceLeaders())
  },
])
const settings: fc.Arbitrary<Step> = fc
  .tuple(
    fc.option(name),
    fc.oneof(
      fc.tuple(fc.constant('min.insync.replicas'), fc.constantFrom('1', '2', '3')),
      fc.tuple(fc.constant('unclean.leader.election.enable'), fc.constantFrom('true', 'false')),
    ),
    fc.boolean(),
  )
  .map(([which, [setting, value], isSet]) => [
    `set ${which} ${setting} ${isSet ? value : null}`,
    (machine) => {
      const type = which === null ? BROKER : TOPIC
      machine.alter(type, which ?? '', [setting, isSet ? SET : DELETE, isSet ? value : null])
    },
  ])

const step = fc.oneof(
  { weight: 8, arbitrary: changes },
  { weight: 4, arbitrary: returns },
  { weight: 1, arbitrary: leaves },
  { weight: 8, arbitrary: asks },
  { weight: 3, arbitrary: moves },
  { weight: 2, arbitrary: elections },
  { weight: 1, arbitrary: balances },
  { weight: 3, arbitrary: settings },
)

function check(isTrue: boolean, rule: string): void {
  if (!isTrue) throw new Error(rule)
}

const isSubset = (some: readonly number[], all: readonly number[]) =>
  some.every((each) => all.includes(each))
const overlap = (a: readonly number[], b: readonly number[]) => a.some((each) => b.includes(each))

function checkPartition(partition: PartitionImage): void {
  const { replicas, isr, elr, lastKnownElr, emptied, leader } = partition
  const { addingReplicas, removingReplicas, leaderRecoveryState } = partition
  const lists = { replicas, isr, elr, lastKnownElr, emptied, addingReplicas, removingReplicas }
  for (const [list, of] of Object.entries(lists)) {
    check(new Set(of).size === of.length, `nobody is twice in ${list}`)
    check(list === 'lastKnownElr' || isSubset(of, replicas), `${list} are replicas`)
  }
  check(replicas.length > 0, 'there are replicas')
  check(leader === -1 || isr.includes(leader), 'the leader is in sync')
  check(!overlap(isr, elr), 'nobody is both in sync and eligible')
  check(!overlap(isr, emptied), 'nobody is in sync who has nothing')
  check(lastKnownElr.length <= 1, 'one led last')
  check(leader === -1 || lastKnownElr.length === 0, 'who leads is the last leader')
  const { RECOVERING } = LeaderRecoveryState
  check(leaderRecoveryState !== RECOVERING || isr.length <= 1, 'who recovers is alone')
}

/** How many replicas it has when its reassignment is over. */
const sizeOf = ({ replicas, removingReplicas }: PartitionImage) =>
  replicas.length - removingReplicas.length

function checkChange(before: PartitionImage, after: PartitionImage, step: string): void {
  check(after.leaderEpoch >= before.leaderEpoch, 'leader epochs rise')
  check(after.partitionEpoch >= before.partitionEpoch, 'partition epochs rise')
  const { leaderEpoch: _of, partitionEpoch: _before, ...stateBefore } = before
  const { leaderEpoch: _and, partitionEpoch: _after, ...stateAfter } = after
  const isSame = JSON.stringify(stateBefore) === JSON.stringify(stateAfter)
  check(isSame || after.partitionEpoch > before.partitionEpoch, 'what changes has a new epoch')
  const isNewTerm = after.leaderEpoch > before.leaderEpoch
  check(after.leader === before.leader || isNewTerm, 'another leader leads another term')
  check(!isNewTerm || after.partitionEpoch > before.partitionEpoch, 'a term is a change')
  check(isSubset(before.replicas, after.replicas) || isNewTerm, 'who is gone knows the term')
  check(movesReplicas.test(step) || sizeOf(before) === sizeOf(after), 'replicas stay')
}

function partitionsOf(machine: TestMachine): Map<string, PartitionImage> {
  const found = new Map<string, PartitionImage>()
  for (const { name: of, partitions } of machine.image.topics.values() as Iterable<TopicImage>) {
    for (const partition of partitions) found.set(`${of}-${partition.partitionIndex}`, partition)
  }
  return found
}

t.test('what must hold of partitions', async (t) => {
  let changed = 0
  fc.assert(
    fc.property(
      ids,
      ids,
      fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
      (a, b, steps) => {
        const machine = new TestMachine(BROKERS.length)
        const on = (brokerIds: readonly number[]) => ({
          assignments: [{ partitionIndex: 0, brokerIds }],
        })
        machine.create([topic('a', on(a)), topic('b', on(b))])
        const story: string[] = []
        try {
          for (const [what, act] of steps) {
            story.push(what)
            const before = partitionsOf(machine)
            act(machine)
            for (const [key, after] of partitionsOf(machine)) {
              const earlier = before.get(key)
              if (!earlier || earlier === after) continue
              changed++
              checkPartition(after)
              checkChange(earlier, after, what)
            }
          }
        } catch (error) {
          const now = JSON.stringify([...partitionsOf(machine).values()])
          throw new Error(`${String(error)} after ${story.join('; ')}: ${now}`)
        }
      },
    ),
    { numRuns: Number(process.env['LMQ_RUNS'] ?? 300) },
  )
  t.ok(changed > 1_000, `${changed} changes`)
})
