// Goal: groups are the same after loading, however far compaction has come. Method: random commits, removals, joins and leaves
// write a log; then superseded records are dropped at random, tombstones too once all before them of their key are gone, and
// what is loaded is compared with what the whole log gives.
//
// LMQ_TEST_RUNS: how many random logs.
import fc from 'fast-check'
import t from 'tap'
import { crc32c } from '../../../src/io/crc32c.ts'
import { offsetCommit } from '../../../src/protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../../../src/protocol/apis/09-offset-fetch.ts'
import { joinGroup } from '../../../src/protocol/apis/11-join-group.ts'
import { leaveGroup } from '../../../src/protocol/apis/13-leave-group.ts'
import { syncGroup } from '../../../src/protocol/apis/14-sync-group.ts'
import { describeGroups } from '../../../src/protocol/apis/15-describe-groups.ts'
import { deleteGroups } from '../../../src/protocol/apis/42-delete-groups.ts'
import { offsetDelete } from '../../../src/protocol/apis/47-offset-delete.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { readRecords } from '../../../src/protocol/record.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  recordCountOf,
} from '../../../src/protocol/record-batch.ts'
import { NO_ID, subscription } from './group-scenarios.ts'
import { GroupWorld } from './group-world.ts'

const RUNS = Number(process.env['LMQ_TEST_RUNS'] ?? (process.env['LMQ_LONG'] ? 2_000 : 60))
/** One partition holds all groups, so that there is one log to look at. */
const settings = { 'offsets.topic.num.partitions': 1 }
const groups = ['a', 'b', 'c']

type Step = {
  kind: 'commit' | 'remove' | 'delete' | 'join' | 'leave'
  group: string
  partition: number
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('commit', 'commit', 'commit', 'remove', 'delete', 'join', 'leave'),
  group: fc.constantFrom(...groups),
  partition: fc.nat(3),
})

async function run(world: GroupWorld, steps: readonly Step[]): Promise<void> {
  const members = new Map<string, { memberId: string; generationId: number }>()
  let offset = 0
  for (const { kind, group, partition } of steps) {
    const { memberId = '', generationId = -1 } = members.get(group) ?? {}
    const answers: Promise<unknown>[] = []
    if (kind === 'commit') {
      const partitions = [
        { partitionIndex: partition, committedOffset: ++offset, committedMetadata: `${offset}` },
      ]
      answers.push(
        world.call(offsetCommit, 8, {
          groupId: group,
          generationIdOrMemberEpoch: generationId,
          memberId,
          topics: [{ name: 'orders', topicId: NO_ID, partitions }],
        }),
      )
    } else if (kind === 'remove') {
      const topics = [{ name: 'orders', partitions: [{ partitionIndex: partition }] }]
      answers.push(world.call(offsetDelete, 0, { groupId: group, topics }))
    } else if (kind === 'delete') {
      answers.push(world.call(deleteGroups, 2, { groupsNames: [group] }))
    } else if (kind === 'join' && memberId === '') {
      answers.push(join(world, group).then((joined) => members.set(group, joined)))
    } else if (kind === 'leave' && memberId !== '') {
      members.delete(group)
      const leaving = { groupId: group, memberId: '', members: [{ memberId }] }
      answers.push(world.call(leaveGroup, 3, leaving))
    }
    for (let i = 0; i < 6; i++) await world.time.settle()
    await Promise.all(answers)
    world.time.skip(1)
  }
}

async function join(world: GroupWorld, groupId: string) {
  const joined = await world.call(joinGroup, 3, {
    groupId,
    sessionTimeoutMs: 1_000_000,
    rebalanceTimeoutMs: 1_000_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription('payments') }],
  })
  const { memberId, generationId } = joined
  const assignments = [{ memberId, assignment: Buffer.from(`of ${generationId}`) }]
  await world.call(syncGroup, 3, { groupId, generationId, memberId, assignments })
  return { memberId, generationId }
}

type LoggedRecord = { offset: number; key: Buffer; value: Buffer | null }

function recordsOf(batches: readonly Buffer[]): LoggedRecord[] {
  return batches.flatMap((batch) =>
    readRecords(batch.subarray(BATCH_HEADER_BYTES), recordCountOf(batch, 0)).map((record) => ({
      offset: baseOffsetOf(batch, 0) + record.offsetDelta,
      key: record.key ?? Buffer.alloc(0),
      value: record.value,
    })),
  )
}

/** What the cleaner may leave of a log: the last record of each key, any part of what it superseded. */
function compacted(records: readonly LoggedRecord[], keeps: (offset: number) => boolean): Buffer[] {
  const last = new Map<string, number>()
  for (const { key, offset } of records) last.set(key.toString('hex'), offset)
  const kept = records.filter(
    ({ key, offset }) => last.get(key.toString('hex')) === offset || keeps(offset),
  )
  const earlier = new Set<string>()
  const left = kept.filter(({ key, value, offset }) => {
    const name = key.toString('hex')
    const isBare = value === null && !earlier.has(name) && last.get(name) === offset
    earlier.add(name)
    return !isBare || keeps(offset)
  })
  return left.map(({ key, value, offset }) =>
    buildBatch([{ key, value, timestamp: 1 }], { baseOffset: offset }, crc32c),
  )
}

async function stateOf(batches: readonly Buffer[], nowMs: number): Promise<string> {
  const world = new GroupWorld(settings)
  world.time.skip(nowMs - world.time.nowMs)
  world.log.partitions.set(0, [...batches])
  world.lead()
  await world.coordinator.whenLoaded()
  return stateOfWorld(world)
}

/** All groups as clients see them; a group of which nothing is stored may be there or not. */
async function stateOfWorld(world: GroupWorld): Promise<string> {
  const asked = { groups, includeAuthorizedOperations: false }
  const described = await world.call(describeGroups, 5, asked)
  const offsets = await world.call(offsetFetch, 8, {
    groupId: '',
    topics: [],
    groups: groups.map((groupId) => ({ groupId, topics: null })),
  })
  const shown = described.groups.map((group, index) => {
    const partitions = (offsets.groups[index]?.topics ?? []).flatMap((topic) => topic.partitions)
    partitions.sort((left, right) => left.partitionIndex - right.partitionIndex)
    const isNothing = group.protocolType === '' && partitions.length === 0
    return isNothing ? group.groupId : { group, partitions }
  })
  return JSON.stringify(shown, null, 1)
}

t.test('however far compaction has come', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.infiniteStream(fc.boolean()),
      async (steps, choices) => {
        const world = await new GroupWorld(settings).start()
        await run(world, steps)
        const batches = world.log.partitions.get(0) ?? []
        const whole = await stateOf(batches, world.time.nowMs)
        const live = await stateOfWorld(world)
        if (live !== whole) throw new Error(`live ${live}\nloaded ${whole}`)
        const part = compacted(recordsOf(batches), () => choices.next().value === true)
        const loaded = await stateOf(part, world.time.nowMs)
        if (loaded !== whole) throw new Error(`compacted ${loaded}\nwhole ${whole}`)
      },
    ),
    { numRuns: RUNS },
  )
  t.pass(`${RUNS} logs`)
})
