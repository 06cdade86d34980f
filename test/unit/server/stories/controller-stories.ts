import { electLeaders } from '../../../../src/protocol/apis/43-elect-leaders.ts'
import { alterPartitionReassignments } from '../../../../src/protocol/apis/45-alter-partition-reassignments.ts'
import { listPartitionReassignments } from '../../../../src/protocol/apis/46-list-partition-reassignments.ts'
import { describeQuorum } from '../../../../src/protocol/apis/55-describe-quorum.ts'
import { unregisterBroker } from '../../../../src/protocol/apis/64-unregister-broker.ts'
import { topic } from './requests.ts'
import type { Story, Telling } from './telling.ts'

type Partitions = [name: string, partitions: number[]][]

const elect = (
  s: Telling,
  version: number,
  label: string,
  electionType: number,
  partitions: Partitions | null,
) =>
  s.ask(
    electLeaders,
    version,
    {
      electionType: version === 0 ? 0 : electionType,
      topicPartitions:
        partitions?.map(([name, indexes]) => ({ topic: name, partitions: indexes })) ?? null,
      timeoutMs: 10_000,
    },
    { label: `ElectLeaders ${label}`, ordered: true },
  )

type Moves = [name: string, moves: [partitionIndex: number, replicas: number[] | null][]][]

const reassign = (
  s: Telling,
  version: number,
  label: string,
  topics: Moves,
  allowReplicationFactorChange = true,
) =>
  s.ask(
    alterPartitionReassignments,
    version,
    {
      timeoutMs: 10_000,
      allowReplicationFactorChange: version === 0 ? true : allowReplicationFactorChange,
      topics: topics.map(([name, moves]) => ({
        name,
        partitions: moves.map(([partitionIndex, replicas]) => ({ partitionIndex, replicas })),
      })),
    },
    { label: `AlterPartitionReassignments ${label}`, ordered: true },
  )

const list = (s: Telling, label: string, topics: Partitions | null) =>
  s.ask(
    listPartitionReassignments,
    0,
    {
      timeoutMs: 10_000,
      topics: topics?.map(([name, partitionIndexes]) => ({ name, partitionIndexes })) ?? null,
    },
    { label: `ListPartitionReassignments ${label}`, ordered: true },
  )

/** Offsets of the metadata log, its times and its folder are each broker's own. */
const ownFacts = [
  'highWatermark',
  'logEndOffset',
  'lastFetchTimestamp',
  'lastCaughtUpTimestamp',
  'leaderEpoch',
  'port',
  'host',
  'listeners',
]

const quorum = (s: Telling, version: number, label: string, topics: Partitions) =>
  s.ask(
    describeQuorum,
    version,
    {
      topics: topics.map(([topicName, partitions]) => ({
        topicName,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
      })),
    },
    { label: `DescribeQuorum ${label}`, without: ownFacts, ordered: true },
  )

export const controllerStories: Record<string, Story> = {
  'leaders elected': async (s) => {
    const name = await topic(s, 'elected', 2)
    for (const version of [0, 1, 2]) {
      await elect(s, version, 'preferred', 0, [[name, [0, 1]]])
      await elect(s, version, 'unknown', 0, [
        [name, [7]],
        ['nowhere', [0, 1]],
      ])
      await elect(s, version, 'none', 0, [])
      await elect(s, version, 'no partitions', 0, [[name, []]])
      if (version === 0) continue
      await elect(s, version, 'unclean', 1, [[name, [0]]])
      await elect(s, version, 'of no type', 9, [[name, [0]]])
    }
    await elect(s, 2, 'twice', 0, [
      [name, [0, 0]],
      [name, [0]],
    ])
  },

  'replicas reassigned': async (s) => {
    const name = await topic(s, 'moved', 2)
    for (const version of [0, 1]) {
      await reassign(s, version, 'where they are', [[name, [[0, [1]]]]])
      await reassign(s, version, 'cancelled', [[name, [[0, null]]]])
      await reassign(s, version, 'unknown', [
        [name, [[9, [1]]]],
        ['nowhere', [[0, [1]]]],
        ['nothing', [[0, null]]],
      ])
      await reassign(s, version, 'wrong', [
        [
          name,
          [
            [0, []],
            [1, [1, 1]],
          ],
        ],
      ])
      await reassign(s, version, 'to strangers', [
        [
          name,
          [
            [0, [5]],
            [1, [1, 5]],
          ],
        ],
      ])
      await reassign(s, version, 'negative', [
        [
          name,
          [
            [0, [-1]],
            [-1, [1]],
          ],
        ],
      ])
      await reassign(s, version, 'none', [])
    }
    await reassign(
      s,
      1,
      'with another factor',
      [
        [
          name,
          [
            [0, [1, 1]],
            [1, [1, 2]],
            [1, []],
          ],
        ],
      ],
      false,
    )
    await reassign(s, 1, 'twice', [
      [
        name,
        [
          [0, [1]],
          [0, [1]],
        ],
      ],
      [name, [[0, [1]]]],
    ])
    await list(s, 'all', null)
    await list(s, 'of topics', [
      [name, [0, 1, 7]],
      ['nowhere', [0]],
    ])
    await list(s, 'of none', [])
  },

  'a broker unregistered that is not there': async (s) => {
    for (const brokerId of [77, -1]) {
      await s.ask(unregisterBroker, 0, { brokerId }, { label: `UnregisterBroker ${brokerId}` })
    }
  },

  'the metadata quorum': async (s) => {
    for (const version of [0, 1, 2]) {
      await quorum(s, version, 'as tools ask', [['__cluster_metadata', [0]]])
      await quorum(s, version, 'of another topic', [['orders', [0]]])
      await quorum(s, version, 'of another partition', [['__cluster_metadata', [1]]])
      await quorum(s, version, 'of two partitions', [['__cluster_metadata', [0, 1]]])
      await quorum(s, version, 'of nothing', [])
    }
  },
}
