import { alterReplicaLogDirs } from '../../../../src/protocol/apis/34-alter-replica-log-dirs.ts'
import { describeLogDirs } from '../../../../src/protocol/apis/35-describe-log-dirs.ts'
import { incrementalAlterConfigs } from '../../../../src/protocol/apis/44-incremental-alter-configs.ts'
import { describeUserScramCredentials } from '../../../../src/protocol/apis/50-describe-user-scram-credentials.ts'
import { updateFeatures } from '../../../../src/protocol/apis/57-update-features.ts'
import { listConfigResources } from '../../../../src/protocol/apis/74-list-config-resources.ts'
import { topic } from './requests.ts'
import type { Story, Telling } from './telling.ts'

const CLIENT_METRICS = 16
const GROUP = 32

type Update = [feature: string, level: number, upgradeType?: number]

/** Only asked whether it would go: the broker that the other stories are told to keeps its features. */
const update = (
  s: Telling,
  version: number,
  label: string,
  updates: Update[],
  validateOnly = version >= 1,
) =>
  s.ask(
    updateFeatures,
    version,
    {
      timeoutMs: 10_000,
      featureUpdates: updates.map(([feature, maxVersionLevel, upgradeType = 1]) => ({
        feature,
        maxVersionLevel,
        allowDowngrade: version === 0 && upgradeType !== 1,
        upgradeType: version === 0 ? 1 : upgradeType,
      })),
      validateOnly,
    },
    { label: `UpdateFeatures ${label}` },
  )

const list = (s: Telling, version: number, resourceTypes: number[], label = '') =>
  s.ask(
    listConfigResources,
    version,
    { resourceTypes },
    { label: `ListConfigResources ${label || resourceTypes.join()}` },
  )

const configure = async (
  s: Telling,
  type: number,
  name: string,
  key: string,
  value: string | null,
) => {
  await s.quietly(incrementalAlterConfigs, 1, {
    resources: [
      {
        resourceType: type,
        resourceName: name,
        configs: [{ name: key, configOperation: value === null ? 1 : 0, value }],
      },
    ],
    validateOnly: false,
  })
  await s.pass(300)
}

type Dir = { logDir: string; topics: { name: string }[] }

const move = (s: Telling, version: number, label: string, dirs: [string, string, number[]][]) =>
  s.ask(
    alterReplicaLogDirs,
    version,
    { dirs: dirs.map(([path, name, partitions]) => ({ path, topics: [{ name, partitions }] })) },
    { label: `AlterReplicaLogDirs ${label}` },
  )

export const operatorStories: Record<string, Story> = {
  'features updated': async (s) => {
    for (const version of [0, 1, 2]) {
      await update(s, version, 'the same', [['metadata.version', 30]])
      await update(s, version, 'none', [])
      await update(s, version, 'unknown', [['no.such', 1]])
      await update(s, version, 'unknown, zero', [['no.such', 0]])
      await update(s, version, 'too high', [['metadata.version', 31]])
      await update(s, version, 'too low', [['metadata.version', 6, 2]])
      await update(s, version, 'negative', [['metadata.version', -1, 2]])
      await update(s, version, 'zero', [['metadata.version', 0, 2]])
      await update(s, version, 'down, not said so', [['metadata.version', 29]])
      await update(s, version, 'one twice', [
        ['metadata.version', 30],
        ['metadata.version', 30],
      ])
      await update(s, version, 'one good, one bad', [
        ['metadata.version', 30],
        ['no.such', 1],
      ])
      await update(s, version, 'two bad', [
        ['metadata.version', 31],
        ['no.such', 1],
      ])
      await update(s, version, 'empty name', [['', 1]])
    }
    for (const level of [29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 14, 7]) {
      await update(s, 2, `down to ${level}`, [['metadata.version', level, 2]])
      await update(s, 2, `unsafely down to ${level}`, [['metadata.version', level, 3]])
    }
    await update(s, 2, 'same, downgrade', [['metadata.version', 30, 2]])
    await update(s, 2, 'up as a downgrade', [['metadata.version', 31, 2]])
    for (const type of [0, 4, -1]) {
      await update(s, 1, `kind ${type}`, [['metadata.version', 30, type]])
      await update(s, 2, `kind ${type}`, [['metadata.version', 30, type]])
    }
    await update(s, 2, 'kraft.version 2', [['kraft.version', 2]])
    await update(s, 2, 'kraft.version 0', [['kraft.version', 0]])
    await update(s, 2, 'kraft.version 0 down', [['kraft.version', 0, 2]])
    await update(s, 2, 'kraft.version 1', [['kraft.version', 1]])
    await update(s, 2, 'kraft.version -1', [['kraft.version', -1, 2]])
    for (const name of ['transaction', 'group', 'share', 'streams', 'eligible.leader.replicas']) {
      for (const level of [0, 1, 2, 3]) {
        await update(s, 2, `${name} ${level}`, [[`${name}.version`, level]])
        await update(s, 2, `${name} ${level} down`, [[`${name}.version`, level, 2]])
      }
    }
  },

  'resources with settings': async (s) => {
    const [metrics, other, group] = [s.name('push-all'), s.name('push-some'), s.name('shaped')]
    await list(s, 0, [], 'none yet')
    await list(s, 1, [CLIENT_METRICS], 'none yet')
    await configure(s, CLIENT_METRICS, metrics, 'interval.ms', '60000')
    await configure(s, CLIENT_METRICS, other, 'match', 'client_id=nobody')
    await configure(s, GROUP, group, 'consumer.session.timeout.ms', '50000')
    await list(s, 0, [])
    for (const types of [
      [CLIENT_METRICS],
      [GROUP],
      [4],
      [8],
      [4, 8],
      [CLIENT_METRICS, CLIENT_METRICS],
      [CLIENT_METRICS, GROUP],
      [0],
      [1],
      [3],
      [64],
      [-1],
      [CLIENT_METRICS, 0],
      [CLIENT_METRICS, 64],
    ])
      await list(s, 1, types)
    await configure(s, CLIENT_METRICS, metrics, 'interval.ms', null)
    await configure(s, CLIENT_METRICS, other, 'match', null)
    await configure(s, GROUP, group, 'consumer.session.timeout.ms', null)
    await list(s, 1, [CLIENT_METRICS], 'gone')
    await list(s, 1, [GROUP], 'gone')
  },

  'credentials of users': async (s) => {
    const named = (...names: string[]) => names.map((name) => ({ name }))
    for (const users of [null, [], named('a'), named('a', 'b'), named('a', 'a', 'b'), named('')])
      await s.ask(describeUserScramCredentials, 0, { users })
  },

  'replicas moved between folders': async (s) => {
    const name = await topic(s, 'placed', 2)
    const answer = await s.quietly(describeLogDirs, 4, {
      topics: [{ topic: name, partitions: [0] }],
    })
    const dirs = (answer?.['results'] ?? []) as Dir[]
    const path = dirs.find(({ topics }) => topics.length > 0)?.logDir ?? ''
    for (const version of [1, 2]) {
      await move(s, version, 'where it is', [[path, name, [0]]])
      await move(s, version, 'nowhere', [['/no/such/folder', name, [0, 1]]])
      await move(s, version, 'a relative path', [['data', name, [0]]])
      await move(s, version, 'an empty path', [['', name, [0]]])
      await move(s, version, 'unknown partition', [[path, name, [0, 7]]])
      await move(s, version, 'unknown topic', [[path, s.name('missing'), [0]]])
      await move(s, version, 'bad name', [[path, 'a b', [0]]])
      await move(s, version, 'long name', [[path, 'x'.repeat(249), [0]]])
      await move(s, version, 'negative', [[path, name, [-1]]])
      await move(s, version, 'no partition', [[path, name, []]])
      await move(s, version, 'none', [])
      await move(s, version, 'named twice', [[path, name, [0, 0]]])
      await move(s, version, 'two folders', [
        [path, name, [0]],
        ['/no/such/folder', name, [0]],
      ])
      await move(s, version, 'two folders again', [
        ['/no/such/folder', name, [0]],
        [path, name, [0]],
      ])
    }
  },
}
