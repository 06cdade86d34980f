import { describeConfigs } from '../../../../src/protocol/apis/32-describe-configs.ts'
import { alterConfigs } from '../../../../src/protocol/apis/33-alter-configs.ts'
import { incrementalAlterConfigs } from '../../../../src/protocol/apis/44-incremental-alter-configs.ts'
import { topic } from './requests.ts'
import type { Story, Telling } from './telling.ts'

const TOPIC = 2
const BROKER = 4
const versions = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

const show = (
  s: Telling,
  version: number,
  resources: [type: number, name: string, keys?: string[] | null][],
  { synonyms = true, docs = false, label = '', without = [] as string[] } = {},
) =>
  s.ask(
    describeConfigs,
    version,
    {
      resources: resources.map(([resourceType, resourceName, configurationKeys = null]) => ({
        resourceType,
        resourceName,
        configurationKeys,
      })),
      includeSynonyms: synonyms,
      includeDocumentation: version >= 3 && docs,
    },
    { label: `DescribeConfigs ${label}`, without },
  )

const change = (
  s: Telling,
  label: string,
  resources: [number, string, [string, number, string | null][]][],
  validateOnly = false,
  version = 1,
) =>
  s.ask(
    incrementalAlterConfigs,
    version,
    {
      resources: resources.map(([resourceType, resourceName, list]) => ({
        resourceType,
        resourceName,
        configs: list.map(([name, configOperation, value]) => ({ name, configOperation, value })),
      })),
      validateOnly,
    },
    { label },
  )

const replace = (
  s: Telling,
  version: number,
  label: string,
  resources: [number, string, [string, string | null][]][],
  validateOnly = false,
) =>
  s.ask(
    alterConfigs,
    version,
    {
      resources: resources.map(([resourceType, resourceName, list]) => ({
        resourceType,
        resourceName,
        configs: list.map(([name, value]) => ({ name, value })),
      })),
      validateOnly,
    },
    { label: `AlterConfigs ${label}` },
  )

const SET = 0
const DELETE = 1
const APPEND = 2
const SUBTRACT = 3
const shown = ['retention.ms', 'cleanup.policy', 'segment.bytes']

export const configStories: Record<string, Story> = {
  'configs of topics': async (s) => {
    const name = await topic(s, 'settings', 1, { 'segment.bytes': '2000000' })
    for (const version of versions(1, 4)) {
      if (version % 3 === 1) await show(s, version, [[TOPIC, name]])
      if (version === 2) await show(s, version, [[TOPIC, name]], { synonyms: false })
      await show(s, version, [[TOPIC, name, shown]])
      await show(s, version, [[TOPIC, name, ['no.such']]], { label: 'unknown key' })
      if (version === 1) await show(s, version, [[TOPIC, name, []]], { label: 'no key' })
      await show(s, version, [[TOPIC, s.name('missing')]], { label: 'unknown topic' })
      await show(s, version, [[TOPIC, 'a b']], { label: 'bad name' })
      await show(s, version, [[TOPIC, '']], { label: 'empty name' })
      await show(s, version, [], { label: 'none' })
      await show(
        s,
        version,
        [
          [TOPIC, name, shown],
          [TOPIC, name, shown],
        ],
        { label: 'twice' },
      )
      await show(
        s,
        version,
        [
          [TOPIC, name, shown],
          [TOPIC, s.name('missing'), shown],
        ],
        { label: 'one unknown' },
      )
      for (const type of [0, 1, 3, 5, 8, 16, 32, 64, -1])
        await show(s, version, [[type, 'x']], { label: `type ${type}` })
      await show(s, version, [[32, '']], { label: 'group ""' })
      await show(s, version, [[16, '']], { label: 'client metrics ""' })
    }
    await show(s, 3, [[TOPIC, name, shown]], {
      docs: true,
      label: 'documented',
      without: ['documentation'],
    })
  },

  'configs of brokers': async (s) => {
    const keys = [
      'log.retention.ms',
      'log.retention.hours',
      'num.partitions',
      'broker.rack',
      'node.id',
      'message.max.bytes',
      'log.cleaner.threads',
      'compression.type',
      'log.cleanup.policy',
      'auto.create.topics.enable',
      'offsets.topic.replication.factor',
      'log.segment.bytes',
      'group.initial.rebalance.delay.ms',
      'ssl.keystore.password',
      'sasl.enabled.mechanisms',
      'min.insync.replicas',
      'log.message.timestamp.type',
      'background.threads',
      'num.io.threads',
      'max.connections.per.ip.overrides',
    ]
    for (const version of versions(1, 4)) {
      await show(s, version, [[BROKER, '1', keys]])
      await show(s, version, [[BROKER, '', keys]], { label: 'cluster' })
      await show(s, version, [[BROKER, '']], { label: 'cluster, all' })
      for (const bad of ['2', '-1', 'x', '01', '9999999999'])
        await show(s, version, [[BROKER, bad, keys]], { label: `broker ${bad}` })
      await show(s, version, [[BROKER, '1', ['no.such']]], { label: 'unknown key' })
    }
  },

  'configs changed one by one': async (s) => {
    const name = await topic(s, 'changed')
    const look = async () => {
      await s.pass(300)
      await show(s, 4, [[TOPIC, name, shown]])
    }
    await change(s, 'set', [[TOPIC, name, [['retention.ms', SET, '1000']]]], false, 0)
    await look()
    await change(s, 'validate', [[TOPIC, name, [['retention.ms', SET, '2000']]]], true)
    await look()
    await change(s, 'append', [[TOPIC, name, [['cleanup.policy', APPEND, 'compact']]]])
    await look()
    await change(s, 'append again', [[TOPIC, name, [['cleanup.policy', APPEND, 'compact,delete']]]])
    await look()
    await change(s, 'subtract', [[TOPIC, name, [['cleanup.policy', SUBTRACT, 'delete']]]])
    await look()
    await change(s, 'subtract the rest', [[TOPIC, name, [['cleanup.policy', SUBTRACT, 'compact']]]])
    await look()
    await change(s, 'subtract unknown', [[TOPIC, name, [['cleanup.policy', SUBTRACT, 'nothing']]]])
    await change(s, 'append bad', [[TOPIC, name, [['cleanup.policy', APPEND, 'nothing']]]])
    await change(s, 'append to a number', [[TOPIC, name, [['retention.ms', APPEND, '5']]]])
    await change(s, 'append null', [[TOPIC, name, [['cleanup.policy', APPEND, null]]]])
    await change(s, 'delete', [[TOPIC, name, [['retention.ms', DELETE, null]]]])
    await change(s, 'delete again', [[TOPIC, name, [['retention.ms', DELETE, 'x']]]])
    await look()
    await change(s, 'set null', [[TOPIC, name, [['retention.ms', SET, null]]]])
    await change(s, 'set bad', [[TOPIC, name, [['retention.ms', SET, 'x']]]])
    await change(s, 'set empty', [[TOPIC, name, [['cleanup.policy', SET, '']]]])
    await change(s, 'set long', [
      [
        TOPIC,
        name,
        [['follower.replication.throttled.replicas', SET, `${'0:1,'.repeat(8190)}0:1`]],
      ],
    ])
    await change(s, 'unknown key', [[TOPIC, name, [['no.such', SET, 'x']]]])
    await change(s, 'delete unknown key', [[TOPIC, name, [['no.such', DELETE, null]]]])
    await change(s, 'empty key', [[TOPIC, name, [['', SET, 'x']]]])
    await change(s, 'key twice', [
      [
        TOPIC,
        name,
        [
          ['retention.ms', SET, '5'],
          ['retention.ms', SET, '6'],
        ],
      ],
    ])
    await change(s, 'operation 4', [[TOPIC, name, [['retention.ms', 4, '5']]]])
    await change(s, 'operation -1', [[TOPIC, name, [['retention.ms', -1, '5']]]])
    await change(s, 'nothing', [[TOPIC, name, []]])
    await change(s, 'no resource', [])
    await change(s, 'unknown topic', [[TOPIC, s.name('missing'), [['retention.ms', SET, '5']]]])
    await change(s, 'bad name', [[TOPIC, 'a b', [['retention.ms', SET, '5']]]])
    await change(s, 'empty name', [[TOPIC, '', [['retention.ms', SET, '5']]]])
    await change(s, 'one bad, one good', [
      [TOPIC, name, [['retention.ms', SET, '7']]],
      [TOPIC, s.name('missing'), [['retention.ms', SET, '5']]],
    ])
    await change(s, 'resource twice', [
      [TOPIC, name, [['retention.ms', SET, '8']]],
      [TOPIC, name, [['segment.bytes', SET, '3000000']]],
    ])
    await change(s, 'all or nothing', [
      [
        TOPIC,
        name,
        [
          ['segment.bytes', SET, '4000000'],
          ['retention.ms', SET, 'x'],
        ],
      ],
    ])
    await look()
    for (const type of [0, 1, 3, 64])
      await change(s, `type ${type}`, [[type, 'x', [['a', SET, 'b']]]])
    for (const broker of ['2', 'x', '-1'])
      await change(
        s,
        `broker ${broker}`,
        [[BROKER, broker, [['log.cleaner.threads', SET, '1']]]],
        true,
      )
    await change(s, 'read-only', [[BROKER, '1', [['node.id', SET, '5']]]], true)
    await change(s, 'read-only, cluster', [[BROKER, '', [['node.id', SET, '5']]]], true)
    await change(s, 'broker only', [[BROKER, '', [['listeners', SET, 'PLAINTEXT://:1']]]], true)
    await change(s, 'unknown broker key', [[BROKER, '1', [['no.such', SET, '5']]]], true)
    await change(s, 'bad broker value', [[BROKER, '1', [['log.cleaner.threads', SET, 'x']]]], true)
    await change(
      s,
      'bad broker value, cluster',
      [[BROKER, '', [['log.cleaner.threads', SET, '-1']]]],
      true,
    )
    await change(
      s,
      'broker list',
      [[BROKER, '', [['log.cleanup.policy', APPEND, 'compact']]]],
      true,
    )
    await change(s, 'broker number', [[BROKER, '', [['log.retention.ms', APPEND, '1']]]], true)
  },

  'configs replaced': async (s) => {
    const name = await topic(s, 'replaced', 1, { 'segment.bytes': '2000000' })
    const look = () => show(s, 4, [[TOPIC, name, shown]])
    for (const version of [0, 1, 2]) {
      await replace(s, version, 'set', [[TOPIC, name, [['retention.ms', '1000']]]])
      await look()
      await replace(s, version, 'validate', [[TOPIC, name, [['segment.bytes', '1048577']]]], true)
      await look()
      await replace(s, version, 'bad', [[TOPIC, name, [['retention.ms', 'x']]]])
      await replace(s, version, 'null', [[TOPIC, name, [['retention.ms', null]]]])
      await replace(s, version, 'unknown key', [[TOPIC, name, [['no.such', '1']]]])
      await replace(s, version, 'key twice', [
        [
          TOPIC,
          name,
          [
            ['retention.ms', '1'],
            ['retention.ms', '2'],
          ],
        ],
      ])
      await look()
      await replace(s, version, 'unknown topic', [
        [TOPIC, s.name('missing'), [['retention.ms', '1']]],
      ])
      await replace(s, version, 'twice', [
        [TOPIC, name, [['retention.ms', '1']]],
        [TOPIC, name, [['retention.ms', '2']]],
      ])
      await replace(s, version, 'type 1', [[1, name, [['retention.ms', '1']]]])
      await replace(s, version, 'broker 2', [[BROKER, '2', [['log.cleaner.threads', '1']]]], true)
      await replace(s, version, 'none', [])
      await replace(s, version, 'empty', [[TOPIC, name, []]])
      await look()
    }
  },

  'sources of a setting': async (s) => {
    const name = await topic(s, 'sources')
    const look = async () => {
      // A broker may answer before what it answered is in force.
      await s.pass(500)
      await show(s, 4, [[TOPIC, name, ['max.message.bytes', 'cleanup.policy']]])
      await show(s, 4, [[BROKER, '1', ['message.max.bytes', 'log.cleanup.policy']]])
      await show(s, 4, [[BROKER, '']])
    }
    await change(s, 'cluster', [[BROKER, '', [['message.max.bytes', SET, '900000']]]])
    await look()
    await change(s, 'broker', [[BROKER, '1', [['message.max.bytes', SET, '800000']]]])
    await look()
    await change(s, 'topic', [[TOPIC, name, [['max.message.bytes', SET, '700000']]]])
    await look()
    await change(s, 'back', [
      [BROKER, '', [['message.max.bytes', DELETE, null]]],
      [BROKER, '1', [['message.max.bytes', DELETE, null]]],
    ])
    await look()
  },
}
