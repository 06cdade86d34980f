/** Requests of groups at every version; what happens in a group over time stands in test/unit/coordinator. */
import { offsetCommit } from '../../../../src/protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../../../../src/protocol/apis/09-offset-fetch.ts'
import { findCoordinator } from '../../../../src/protocol/apis/10-find-coordinator.ts'
import { joinGroup } from '../../../../src/protocol/apis/11-join-group.ts'
import { heartbeat } from '../../../../src/protocol/apis/12-heartbeat.ts'
import { leaveGroup } from '../../../../src/protocol/apis/13-leave-group.ts'
import { syncGroup } from '../../../../src/protocol/apis/14-sync-group.ts'
import { describeGroups } from '../../../../src/protocol/apis/15-describe-groups.ts'
import { listGroups } from '../../../../src/protocol/apis/16-list-groups.ts'
import { deleteGroups } from '../../../../src/protocol/apis/42-delete-groups.ts'
import { offsetDelete } from '../../../../src/protocol/apis/47-offset-delete.ts'
import { ZERO_UUID } from '../../../../src/protocol/uuid.ts'
import { topic } from './requests.ts'
import type { Story, Telling } from './telling.ts'

const UNKNOWN_ID = 'AbCdEfGhIjKlMnOpQrStUw'
const versions = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** Waits until the groups' topic is there and loaded. */
async function coordinated(s: Telling, groupId: string): Promise<void> {
  const request = { key: groupId, keyType: 0, coordinatorKeys: [] }
  await s.until(findCoordinator, 1, request, ({ errorCode }) => errorCode === 0)
  await s.until(
    heartbeat,
    0,
    { groupId, generationId: 1, memberId: 'nobody' },
    ({ errorCode }) => errorCode === 25,
  )
}

type Commit = [partition: number, offset: number, metadata?: string | null]

const commit = (
  s: Telling,
  version: number,
  groupId: string,
  topics: Record<string, Commit[]>,
  label: string,
  more: Record<string, unknown> = {},
) =>
  s.ask(
    offsetCommit,
    version,
    {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: Object.entries(topics).map(([name, partitions]) => ({
        name: version >= 10 ? '' : name,
        topicId: version < 10 ? ZERO_UUID : name === 'unknown' ? UNKNOWN_ID : s.topicId(name),
        partitions: partitions.map(
          ([partitionIndex, committedOffset, committedMetadata = 'm']) => ({
            partitionIndex,
            committedOffset,
            committedLeaderEpoch: version >= 6 ? 3 : -1,
            committedMetadata,
          }),
        ),
      })),
      ...more,
    },
    { label: `OffsetCommit ${label}` },
  )

const fetched = (
  s: Telling,
  version: number,
  groups: Record<string, Record<string, number[]> | null>,
  label: string,
  requireStable = false,
) => {
  const lists = Object.entries(groups).map(([groupId, topics]) => ({
    groupId,
    memberId: null,
    memberEpoch: -1,
    topics:
      topics &&
      Object.entries(topics).map(([name, partitionIndexes]) => ({
        name: version >= 10 ? '' : name,
        topicId: version < 10 ? ZERO_UUID : name === 'unknown' ? UNKNOWN_ID : s.topicId(name),
        partitionIndexes,
      })),
  }))
  const request =
    version >= 8
      ? { groupId: '', topics: [], groups: lists, requireStable }
      : { groupId: lists[0]?.groupId, topics: lists[0]?.topics, groups: [], requireStable }
  return s.ask(offsetFetch, version, request, { label: `OffsetFetch ${label}` })
}

export const groupStories: Record<string, Story> = {
  'offsets of groups': async (s) => {
    const name = await topic(s, 'committed', 2)
    const group = s.name('simple')
    await coordinated(s, group)
    for (const version of versions(2, 10)) {
      await commit(
        s,
        version,
        group,
        {
          [name]: [
            [0, version],
            [1, 7, null],
          ],
        },
        'two',
      )
      await commit(
        s,
        version,
        group,
        {
          [name]: [
            [0, -5],
            [9, 1],
            [-1, 1],
          ],
          unknown: [[0, 1]],
        },
        'bad ones',
      )
      await commit(
        s,
        version,
        group,
        {
          [name]: [
            [1, 1, 'x'.repeat(4097)],
            [0, 2, ''],
          ],
        },
        'long text',
      )
      await commit(s, version, group, {}, 'nothing')
      await commit(s, version, group, { [name]: [] }, 'no partition')
      await commit(s, version, '', { [name]: [[0, 1]] }, 'empty group')
      const member = { generationIdOrMemberEpoch: 1, memberId: 'nobody' }
      await commit(s, version, group, { [name]: [[0, 1]] }, 'unknown member', member)
      await commit(s, version, s.name('none'), { [name]: [[0, 1]] }, 'unknown group', member)
      await commit(s, version, group, { [name]: [[0, 1]] }, 'generation -2', {
        generationIdOrMemberEpoch: -2,
      })
      await commit(s, version, group, { [name]: [[0, 1]] }, 'generation 3', {
        generationIdOrMemberEpoch: 3,
      })
    }
    for (const version of versions(1, 10)) {
      await fetched(s, version, { [group]: { [name]: [0, 1] } }, 'two')
      await fetched(s, version, { [group]: { [name]: [0, 7, -1, 0], unknown: [0] } }, 'unknown')
      if (version >= 2) await fetched(s, version, { [group]: null }, 'all')
      await fetched(s, version, { [group]: {} }, 'nothing')
      await fetched(s, version, { [group]: { [name]: [] } }, 'no partition')
      await fetched(s, version, { [s.name('none')]: { [name]: [0] } }, 'unknown group')
      await fetched(s, version, { '': { [name]: [0] } }, 'empty group')
      if (version >= 7) await fetched(s, version, { [group]: null }, 'stable', true)
      if (version >= 8) {
        await fetched(s, version, { [group]: null, [s.name('none')]: null }, 'two groups')
        await fetched(s, version, {}, 'no group')
      }
    }
    await s.ask(
      offsetFetch,
      9,
      {
        groupId: '',
        topics: [],
        requireStable: false,
        groups: [{ groupId: group, memberId: 'nobody', memberEpoch: 1, topics: null }],
      },
      { label: 'OffsetFetch as a member' },
    )
  },

  'groups described, listed and deleted': async (s) => {
    const name = await topic(s, 'listed', 1)
    const group = s.name('known')
    await coordinated(s, group)
    await commit(s, 8, group, { [name]: [[0, 1]] }, 'made')
    for (const version of versions(0, 6)) {
      for (const includeAuthorizedOperations of version >= 3 ? [false, true] : [false]) {
        for (const groups of [[group], [s.name('none')], [''], [group, group], []]) {
          await s.ask(describeGroups, version, { groups, includeAuthorizedOperations })
        }
      }
    }
    const ours = (answer: Record<string, unknown> | undefined) =>
      ((answer?.['groups'] ?? []) as { groupId: string }[]).filter(
        ({ groupId }) => groupId === group,
      )
    for (const version of versions(0, 5)) {
      const filters: [string[], string[]][] = [[[], []]]
      if (version >= 4)
        filters.push(
          [['Empty'], []],
          [['empty'], []],
          [['Stable'], []],
          [['nonsense'], []],
          [['Stable', 'EMPTY'], []],
        )
      if (version >= 5)
        filters.push(
          [[], ['classic']],
          [[], ['Consumer']],
          [[], ['nonsense']],
          [['Empty'], ['CLASSIC']],
        )
      for (const [statesFilter, typesFilter] of filters) {
        const answer = await s.quietly(listGroups, version, { statesFilter, typesFilter })
        s.note(
          `ListGroups v${version} ${statesFilter} ${typesFilter} ${answer?.errorCode} ${JSON.stringify(ours(answer)).replaceAll(group, 'known')}`,
        )
      }
    }
    for (const version of versions(0, 2)) {
      for (const groupsNames of [[s.name('none')], [''], [], [s.name('none'), s.name('none')]]) {
        await s.ask(deleteGroups, version, { groupsNames })
      }
      await commit(s, 8, group, { [name]: [[0, 1]] }, 'made')
      await s.ask(deleteGroups, version, { groupsNames: [group, s.name('none')] })
    }
    await commit(s, 8, group, { [name]: [[0, 1]] }, 'made')
    const remove = (groupId: string, topicName: string, indexes: number[]) =>
      s.ask(offsetDelete, 0, {
        groupId,
        topics: [
          { name: topicName, partitions: indexes.map((partitionIndex) => ({ partitionIndex })) },
        ],
      })
    await remove(group, name, [0, 5, -1])
    await remove(group, s.name('nothing'), [0])
    await remove(group, name, [])
    await remove(s.name('none'), name, [0])
    await remove('', name, [0])
    await s.ask(offsetDelete, 0, { groupId: group, topics: [] })
  },

  'members that are not': async (s) => {
    const group = s.name('nobodies')
    await coordinated(s, group)
    for (const version of versions(0, 4)) {
      for (const groupId of [group, '']) {
        for (const generationId of [1, -1]) {
          const instance = version >= 3 ? [null, 'one'] : [null]
          for (const groupInstanceId of instance) {
            await s.ask(heartbeat, version, {
              groupId,
              generationId,
              memberId: 'nobody',
              groupInstanceId,
            })
          }
        }
      }
    }
    for (const version of versions(0, 5)) {
      for (const groupId of [group, '']) {
        const members =
          version >= 3
            ? [
                { memberId: 'nobody', groupInstanceId: null, reason: null },
                { memberId: '', groupInstanceId: 'one', reason: null },
              ]
            : []
        await s.ask(leaveGroup, version, {
          groupId,
          memberId: version < 3 ? 'nobody' : '',
          members,
        })
        if (version >= 3) await s.ask(leaveGroup, version, { groupId, memberId: '', members: [] })
      }
    }
    for (const version of versions(0, 5)) {
      for (const groupId of [group, '']) {
        for (const protocol of version >= 5 ? [null, 'range'] : [null]) {
          await s.ask(syncGroup, version, {
            groupId,
            generationId: 1,
            memberId: 'nobody',
            groupInstanceId: null,
            protocolType: protocol && 'consumer',
            protocolName: protocol,
            assignments: [],
          })
        }
      }
    }
    for (const version of versions(0, 9)) {
      const join = (label: string, more: Record<string, unknown> = {}) =>
        s.ask(
          joinGroup,
          version,
          {
            groupId: group,
            sessionTimeoutMs: 10_000,
            rebalanceTimeoutMs: 10_000,
            memberId: '',
            groupInstanceId: null,
            protocolType: 'consumer',
            protocols: [{ name: 'range', metadata: Buffer.from('x') }],
            reason: null,
            ...more,
          },
          { label: `JoinGroup ${label}` },
        )
      await join('empty group', { groupId: '' })
      await join('short session', { sessionTimeoutMs: 10 })
      await join('long session', { sessionTimeoutMs: 100_000_000 })
      await join('negative session', { sessionTimeoutMs: -1 })
      await join('unknown member', { memberId: 'nobody' })
      await join('no protocol', {
        groupId: s.name(`fresh-${version}`),
        protocols: [],
        memberId: 'nobody',
      })
      await join('no protocols', { protocols: [] })
      await join('no protocol type', { protocolType: '' })
      if (version >= 5)
        await join('unknown static member', { memberId: 'nobody', groupInstanceId: 'one' })
    }
  },
}
