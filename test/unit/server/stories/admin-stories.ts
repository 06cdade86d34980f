import { createTopics } from '../../../../src/protocol/apis/19-create-topics.ts'
import { deleteTopics } from '../../../../src/protocol/apis/20-delete-topics.ts'
import { createPartitions } from '../../../../src/protocol/apis/37-create-partitions.ts'
import { describeCluster } from '../../../../src/protocol/apis/60-describe-cluster.ts'
import { describeTopicPartitions } from '../../../../src/protocol/apis/75-describe-topic-partitions.ts'
import { ZERO_UUID } from '../../../../src/protocol/uuid.ts'
import { askMetadata, topic } from './requests.ts'
import type { Story, Telling } from './telling.ts'

const UNKNOWN_ID = 'AbCdEfGhIjKlMnOpQrStUw'
const versions = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

const wish = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...more,
})

const create = (
  s: Telling,
  version: number,
  topics: unknown[],
  label: string,
  validateOnly = true,
  without: string[] = ['configs'],
) => s.ask(createTopics, version, { topics, timeoutMs: 10_000, validateOnly }, { label, without })

const config = (name: string, value: string | null) => ({ configs: [{ name, value }] })
const assigned = (...lists: number[][]) => ({
  numPartitions: -1,
  replicationFactor: -1,
  assignments: lists.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
})

export const adminStories: Record<string, Story> = {
  'create topics at every version': async (s) => {
    for (const version of versions(2, 7)) {
      const name = s.name(`made-${version}`)
      await create(s, version, [wish(name, { numPartitions: 2 })], 'validate')
      await create(s, version, [wish(name, { numPartitions: 2 })], 'create', false)
      await create(s, version, [wish(name)], 'again', false)
      await create(s, version, [wish(name)], 'again, validate')
      await create(s, version, [], 'none')
      await create(
        s,
        version,
        [wish(s.name('defaults'), { numPartitions: -1, replicationFactor: -1 })],
        'defaults',
      )
    }
    await create(
      s,
      7,
      [wish(s.name('all-configs'), config('retention.ms', '5'))],
      'configs',
      true,
      [],
    )
  },

  'bad topics': async (s) => {
    const known = await topic(s, 'known.topic')
    const name = s.name('bad')
    for (const version of [2, 7]) {
      for (const bad of [
        '',
        '.',
        '..',
        'a b',
        'ü',
        'a/b',
        'x'.repeat(249),
        'x'.repeat(250),
        '__consumer_offsets',
        '__cluster_metadata',
        known.replace('.', '_'),
      ]) {
        await create(
          s,
          version,
          [wish(bad)],
          `name '${bad.slice(0, 11)}' ${bad.length < 30 ? '' : bad.length}`,
        )
      }
      for (const count of [0, -1, -2, 10_001, 1_000_000])
        await create(s, version, [wish(name, { numPartitions: count })], `${count} partitions`)
      for (const count of [0, -1, -2, 2, 300])
        await create(s, version, [wish(name, { replicationFactor: count })], `replication ${count}`)
      await create(s, version, [wish(name), wish(name)], 'name twice')
      await create(
        s,
        version,
        [wish(name), wish(name), wish(s.name('other')), wish('a b')],
        'name twice, others',
      )
    }
  },

  'assigned replicas': async (s) => {
    const name = s.name('assigned')
    const tries: Record<string, Record<string, unknown>> = {
      good: assigned([1], [1]),
      'unknown broker': assigned([2]),
      'broker twice': assigned([1, 1]),
      empty: assigned([]),
      'different counts': assigned([1], [1, 2]),
      'negative broker': assigned([-1]),
      'with count': { ...assigned([1]), numPartitions: 1 },
      'with replication': { ...assigned([1]), replicationFactor: 1 },
      'with both': { ...assigned([1]), numPartitions: 1, replicationFactor: 1 },
      'begins at 1': { ...assigned(), assignments: [{ partitionIndex: 1, brokerIds: [1] }] },
      gap: {
        ...assigned(),
        assignments: [0, 2].map((partitionIndex) => ({ partitionIndex, brokerIds: [1] })),
      },
      'partition twice': {
        ...assigned(),
        assignments: [0, 0].map((partitionIndex) => ({ partitionIndex, brokerIds: [1] })),
      },
      negative: {
        ...assigned(),
        assignments: [-1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1] })),
      },
    }
    for (const version of [2, 7]) {
      for (const [label, more] of Object.entries(tries))
        await create(s, version, [wish(name, more)], label)
    }
  },

  'settings of new topics': async (s) => {
    const name = s.name('configured')
    const tries: [string, string | null][] = [
      ['retention.ms', 'abc'],
      ['retention.ms', '-2'],
      ['retention.ms', '9223372036854775808'],
      ['retention.ms', ''],
      ['retention.ms', null],
      ['retention.ms', ' 5 '],
      ['no.such.key', '1'],
      ['', '1'],
      ['cleanup.policy', 'shrink'],
      ['cleanup.policy', ''],
      ['cleanup.policy', 'compact,delete'],
      ['cleanup.policy', 'compact,compact'],
      ['compression.type', 'brotli'],
      ['segment.bytes', '13'],
      ['segment.bytes', '1048575'],
      ['segment.bytes', '1048576'],
      ['internal.segment.bytes', '100'],
      ['min.insync.replicas', '0'],
      ['min.insync.replicas', '5'],
      ['unclean.leader.election.enable', 'maybe'],
      ['unclean.leader.election.enable', 'TRUE'],
      ['message.timestamp.type', 'Never'],
      ['min.cleanable.dirty.ratio', '1.5'],
      ['min.cleanable.dirty.ratio', 'NaN'],
      ['max.message.bytes', '2147483648'],
      ['message.format.version', '3.0'],
      ['flush.messages', '0'],
      ['compression.gzip.level', '99'],
      ['compression.lz4.level', '0'],
      ['remote.storage.enable', 'true'],
      ['local.retention.ms', '5'],
      ['leader.replication.throttled.replicas', '0:1'],
      ['leader.replication.throttled.replicas', 'nonsense'],
      ['follower.replication.throttled.replicas', '*'],
      ['max.compaction.lag.ms', '0'],
      ['index.interval.bytes', '-1'],
      ['segment.index.bytes', '3'],
      ['preallocate', 'true'],
    ]
    for (const [key, value] of tries)
      await create(s, 7, [wish(name, config(key, value))], `${key}=${value}`)
    await create(
      s,
      7,
      [
        wish(name, {
          configs: [
            { name: 'retention.ms', value: '5' },
            { name: 'retention.ms', value: '6' },
          ],
        }),
      ],
      'key twice',
    )
    await create(
      s,
      7,
      [
        wish(name, {
          configs: [
            { name: 'min.compaction.lag.ms', value: '9' },
            { name: 'max.compaction.lag.ms', value: '6' },
          ],
        }),
      ],
      'lags',
    )
    await create(
      s,
      7,
      [
        wish(name, {
          configs: [
            { name: 'a', value: '9' },
            { name: 'b', value: '6' },
            { name: 'retention.ms', value: 'x' },
          ],
        }),
      ],
      'many',
    )
  },

  'partitions added': async (s) => {
    const name = await topic(s, 'grow', 2)
    for (const version of [0, 1, 2, 3]) {
      const ask = (topics: unknown[], label: string, validateOnly = true) =>
        s.ask(createPartitions, version, { topics, timeoutMs: 10_000, validateOnly }, { label })
      const grow = (
        count: number,
        assignments: { brokerIds: number[] }[] | null = null,
        who = name,
      ) => ({ name: who, count, assignments })
      for (const count of [-1, 0, 1, 2, 3, 10_001, 100_000]) await ask([grow(count)], `${count}`)
      await ask([grow(3, null, s.name('missing'))], 'unknown')
      await ask([grow(3, null, '')], 'empty name')
      await ask([grow(3, null, 'a b')], 'bad name')
      await ask([grow(3), grow(4)], 'twice')
      await ask([grow(3), grow(4), grow(3, null, s.name('missing'))], 'twice and another')
      await ask([grow(4, [{ brokerIds: [1] }])], 'too few assignments')
      await ask([grow(3, [{ brokerIds: [1] }, { brokerIds: [1] }])], 'too many assignments')
      await ask([grow(3, [])], 'no assignments')
      await ask([grow(3, [{ brokerIds: [] }])], 'empty assignment')
      await ask([grow(3, [{ brokerIds: [2] }])], 'unknown broker')
      await ask([grow(3, [{ brokerIds: [1, 1] }])], 'broker twice')
      await ask([grow(3, [{ brokerIds: [1, 2] }])], 'other replication')
      await ask([grow(3, [{ brokerIds: [1] }])], 'good')
      await ask([], 'none')
      await ask([grow(version + 3)], 'really', false)
    }
    await askMetadata(s, 12, [name])
  },

  'topics deleted': async (s) => {
    const remove = (
      version: number,
      topics: ({ name?: string | null; topicId?: string } | string)[],
      label: string,
    ) =>
      s.ask(
        deleteTopics,
        version,
        version >= 6
          ? {
              topics: topics.map((each) =>
                typeof each === 'string'
                  ? { name: each, topicId: ZERO_UUID }
                  : { name: null, topicId: ZERO_UUID, ...each },
              ),
              topicNames: [],
              timeoutMs: 10_000,
            }
          : { topics: [], topicNames: topics, timeoutMs: 10_000 },
        { label },
      )
    for (const version of versions(1, 6)) {
      const a = await topic(s, `gone-${version}`)
      await remove(version, [a, s.name('missing')], 'one and unknown')
      await remove(version, [a], 'again')
      await remove(version, ['', 'a b', '__cluster_metadata'], 'bad names')
      await remove(version, [], 'none')
      const b = await topic(s, `twice-${version}`)
      await remove(version, [b, b], 'twice')
    }
    const c = await topic(s, 'by-id')
    const id = s.topicId(c)
    await remove(6, [{ name: c, topicId: id }], 'both')
    await remove(6, [{}], 'neither')
    await remove(6, [{ topicId: UNKNOWN_ID }], 'unknown id')
    await remove(6, [{ topicId: id }, { topicId: id }], 'id twice')
    await remove(6, [{ topicId: id }, c], 'name and id')
    await remove(6, [{ topicId: id }], 'id')
    await remove(6, [{ topicId: id }], 'id again')
    await askMetadata(s, 12, [c])
    await askMetadata(s, 12, [{ topicId: id }])
  },

  'metadata at every version': async (s) => {
    const name = await topic(s, 'shown', 2)
    for (const version of versions(0, 13)) {
      await askMetadata(s, version, [name])
      await askMetadata(s, version, [name], { operations: true })
      if (version >= 1) await askMetadata(s, version, [])
      if (version >= 4)
        await askMetadata(s, version, [s.name('missing'), name, s.name('missing'), name])
      await askMetadata(s, version, ['', 'a b', '.', 'x'.repeat(250)], { allow: true })
      if (version >= 4) await askMetadata(s, version, ['', 'a b'])
      if (version >= 10) {
        await askMetadata(s, version, [{ name, topicId: s.topicId(name) }])
        await askMetadata(s, version, [{ topicId: s.topicId(name) }, { topicId: UNKNOWN_ID }])
        await askMetadata(s, version, [{ name: null }])
        await askMetadata(s, version, [{ name }, { topicId: s.topicId(name) }])
      }
    }
  },

  'topics made by asking': async (s) => {
    for (const version of [0, 1, 3, 4, 9, 12, 13]) {
      const name = s.name(`asked-${version}`)
      await askMetadata(s, version, [name], { allow: true })
      for (let i = 0; i < 200; i++) {
        const { metadata } = await import('../../../../src/protocol/apis/03-metadata.ts')
        const seen = await s.quietly(metadata, 4, {
          topics: [{ name, topicId: ZERO_UUID }],
          allowAutoTopicCreation: false,
          includeClusterAuthorizedOperations: false,
          includeTopicAuthorizedOperations: false,
        })
        const [found] = (seen?.topics ?? []) as {
          errorCode: number
          partitions: { errorCode: number }[]
        }[]
        if (found?.errorCode === 0 && found.partitions.every(({ errorCode }) => errorCode === 0))
          break
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      await askMetadata(s, version, [name], { allow: true })
    }
    await askMetadata(s, 9, ['__cluster_metadata', '__share_group_state'], { allow: false })
  },

  cluster: async (s) => {
    for (const version of [0, 1, 2]) {
      for (const endpointType of version ? [1, 2, 0, 3, -1] : [1]) {
        for (const flag of [false, true]) {
          await s.ask(describeCluster, version, {
            includeClusterAuthorizedOperations: flag,
            endpointType,
            includeFencedBrokers: version >= 2 && flag,
          })
        }
      }
    }
  },

  'topic partitions': async (s) => {
    const a = await topic(s, 'page-a', 3)
    const b = await topic(s, 'page-b', 2)
    const missing = s.name('page-c')
    const ask = (
      names: string[],
      limit = 2000,
      cursor: [string, number] | null = null,
      label = '',
    ) =>
      s.ask(
        describeTopicPartitions,
        0,
        {
          topics: names.map((name) => ({ name })),
          responsePartitionLimit: limit,
          cursor: cursor && { topicName: cursor[0], partitionIndex: cursor[1] },
        },
        { ordered: true, label: `${label} limit ${limit}` },
      )
    await ask([b, a, missing])
    await ask([a, a, b, 'a b', ''])
    for (const limit of [-1, 0, 1, 2, 3, 4, 5, 6]) await ask([a, b, missing], limit)
    for (const at of [-1, 0, 1, 2, 3, 9]) await ask([a, b], 2, [a, at], `from a ${at}`)
    for (const at of [-1, 0, 1, 2]) await ask([a, b], 2, [b, at], `from b ${at}`)
    await ask([a, b], 5, [missing, 0], 'from missing')
    await ask([a, b, missing], 5, [missing, 0], 'from asked missing')
    await ask([a, missing], 3)
    await ask([b], 2, [a, 0], 'from one that was not asked for')
    await ask([a, b], 2, ['', 0], 'from the beginning')
  },
}
