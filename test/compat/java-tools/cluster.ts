import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { isRecording, type Session, type ToolName } from './session.ts'

/** APIs that Kafka serves and LMQ does not yet, by what they are for. One that is served must leave this list to pass. */
const notServedYet: Record<string, readonly number[]> = {
  transactions: [24, 25, 26, 27, 28, 65, 66],
  'access control lists': [29, 30, 31],
  'delegation tokens': [38, 39, 40, 41],
  'SCRAM credentials': [51],
  'the consumer group protocol (KIP-848)': [68, 69],
  'share groups (KIP-932)': [76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92],
  'streams groups (KIP-1071)': [88, 89],
  // Not later either: the controller of LMQ is not elected by voters that come and go.
  'voters (KIP-853)': [80, 81],
}

/**
 * The line of an API that LMQ does not serve: it must say so here, whatever Kafka says there. Those of client metrics are
 * served, as Kafka does with a plug-in that takes the metrics; the Kafka that is recorded has none.
 */
function servedApi(line: string): string {
  const [, name, key, versions] = /^(\s+\w+\((\d+)\)): ([^,]*)/.exec(line) ?? []
  if (!name) return line
  const isLater = Object.values(notServedYet).some((keys) => keys.includes(Number(key)))
  if (isLater && (isRecording || versions === 'UNSUPPORTED')) return `${name}: not served yet`
  const isOfMetrics = key === '71' || key === '72'
  if (isOfMetrics && isRecording) return line.replace('UNSUPPORTED', '0 [usable: 0]')
  return line
}

/** Features that have no meaning for LMQ; `metadata.version` is what both have. */
const otherFeatures = /^Feature: (?!metadata\.version)/

const described = {
  as: [[/Epoch: \d+/, 'Epoch: N']] as const,
  edit: (text: string) => without(text, otherFeatures),
}

const without = (text: string, pattern: RegExp) =>
  text
    .split('\n')
    .filter((line) => !pattern.test(line))
    .join('\n')

/** What a cluster of one broker says to the tools that look at clusters and move partitions within them. */
export async function cluster(t: Test, session: Session): Promise<void> {
  const same = (name: ToolName, args: string, step = {}) => session.same(t, name, args, step)
  await same('BrokerApiVersionsCommand', '', {
    as: [[/ \(id: 1 .*?\)/, ' (ID)']],
    edit: (text: string) => text.split('\n').map(servedApi).join('\n'),
  })
  await same('FeatureCommand', 'describe', described)
  await same('FeatureCommand', 'version-mapping')
  await same('FeatureCommand', 'feature-dependencies --feature group.version=1')
  await same('FeatureCommand', 'upgrade --feature metadata.version=99')
  await same('FeatureCommand', 'upgrade --feature no.such.feature=1')
  await same('FeatureCommand', 'upgrade --metadata 4.3-IV0 --dry-run')
  await same('FeatureCommand', 'upgrade --metadata 3.3 --dry-run')
  await same('FeatureCommand', 'downgrade --metadata 4.2-IV1 --dry-run')
  await same('FeatureCommand', 'downgrade --metadata 3.3')
  await same('FeatureCommand', 'disable --feature no.such.feature --dry-run')
  await levels(t, session)
  const numbers = { as: [[/\b\d+\b/g, 'N']] as const }
  const anyListener = [/(CONTROLLER|PLAINTEXT):\/\//, 'LISTENER://'] as const
  await same('MetadataQuorumCommand', 'describe --status', { as: [...numbers.as, anyListener] })
  await same('MetadataQuorumCommand', 'describe --replication', numbers)
  await same('MetadataQuorumCommand', 'describe --replication --human-readable', numbers)
  await controllers(session, same)
  await same('ClusterTool', 'cluster-id', { as: [[/: \S{22}$/, ': ID']] })
  await same('ClusterTool', 'list-endpoints', { as: [[/127\.0\.0\.1 \d+/, 'HOST PORT']] })
  await same('ClusterTool', 'unregister --id 9')
}

type Same = (name: ToolName, args: string, step?: object) => Promise<string>

/**
 * Changes that are made, not only tried, and those that name a release. A release is a level of every feature, also of those
 * that LMQ does not serve yet, so it refuses each but one whose other levels are 0.
 */
async function levels(t: Test, session: Session): Promise<void> {
  const feature = (args: string, step = {}) => session.same(t, 'FeatureCommand', args, step)
  const notServed = /feature (?!metadata)\S+\. Local controller 1 does not support this feature/
  const refused = (args: string) => session.refused(t, 'FeatureCommand', args, notServed)
  await feature('version-mapping --release-version 3.9-IV0')
  await feature('version-mapping --release-version 9.9')
  await refused('upgrade --release-version 4.3-IV0 --dry-run')
  await refused('upgrade --release-version 4.3-IV0')
  await feature('upgrade --release-version 3.8-IV0')
  await feature('upgrade --release-version 9.9')
  await feature('downgrade --release-version 3.8-IV0')
  await feature('downgrade --release-version 3.8-IV0 --dry-run')
  await feature('upgrade --release-version 4.3-IV0 --feature group.version=1')
  await feature('upgrade --feature metadata.version=30')
  await feature('downgrade --feature metadata.version=30')
  await feature('downgrade --unsafe --metadata 3.3')
  await feature('downgrade --feature streams.version=0 --feature share.version=0')
  await feature('disable --feature share.version')
  await feature('disable --feature metadata.version')
  await feature('upgrade --feature metadata.version=30 --feature metadata.version=29')
  await feature('upgrade --feature metadata.version')
  await feature('describe', described)
}

/**
 * Voters that come and go. Both refuse with the same error: Kafka because its kraft.version is 0 here, LMQ because it has no
 * voters; the sentences differ.
 */
async function controllers({ folder }: Session, same: Same): Promise<void> {
  const sentence = [/(UnsupportedVersionException: ).*/, '$1...'] as const
  const quorum = (args: string) => same('MetadataQuorumCommand', args, { as: [sentence] })
  const directory = '--controller-directory-id AAAAAAAAAAAAAAAAAAAAAQ'
  const file = join(folder, 'controller.properties')
  const data = join(folder, 'controller')
  mkdirSync(data)
  const lines = [
    'node.id=7',
    'process.roles=controller',
    `log.dirs=${data}`,
    'controller.listener.names=CONTROLLER',
    'listeners=CONTROLLER://127.0.0.1:19999',
    'controller.quorum.bootstrap.servers=127.0.0.1:19999',
  ]
  const meta = ['version=1', 'cluster.id=MkU3OEVBNTcwNTJENDM2Qg', 'node.id=7']
  writeFileSync(file, lines.join('\n'))
  await quorum(`--command-config ${file} add-controller --dry-run`)
  writeFileSync(
    join(data, 'meta.properties'),
    [...meta, 'directory.id=AAAAAAAAAAAAAAAAAAAAAQ'].join('\n'),
  )
  await quorum(`--command-config ${file} add-controller --dry-run`)
  await quorum(`--command-config ${file} add-controller`)
  await quorum(`remove-controller --controller-id 7 ${directory} --dry-run`)
  await quorum(`remove-controller --controller-id 7 ${directory}`)
  await quorum(`remove-controller --controller-id 1 ${directory}`)
  await quorum('remove-controller --controller-id -1 --controller-directory-id short')
}

export async function elections(t: Test, session: Session): Promise<void> {
  const same = (args: string) => session.same(t, 'LeaderElectionCommand', args, { sorted: true })
  await session.does('TopicCommand', '--create --topic voted --partitions 2')
  await same('--election-type preferred --topic voted --partition 0')
  await same('--election-type unclean --topic voted --partition 1')
  await same('--election-type preferred --topic voted --partition 9')
  await same('--election-type preferred --topic missing --partition 0')
  const file = join(session.folder, 'elect.json')
  const partitions = [0, 1].map((partition) => ({ topic: 'voted', partition }))
  writeFileSync(file, JSON.stringify({ partitions }))
  await same(`--election-type preferred --path-to-json-file ${file}`)
  await same(`--election-type unclean --path-to-json-file ${file}`)
  writeFileSync(file, JSON.stringify({ partitions: [partitions[0], partitions[0]] }))
  await same(`--election-type preferred --path-to-json-file ${file}`)
  await same('--election-type preferred --all-topic-partitions')
  await same('--election-type unclean --all-topic-partitions')
}

/** On one broker every assignment is the one that is there; another is refused. */
export async function reassignments(t: Test, session: Session): Promise<void> {
  const same = (args: string, step = {}) =>
    session.same(t, 'ReassignPartitionsCommand', args, { sorted: true, ...step })
  await session.does('TopicCommand', '--create --topic moved --partitions 2')
  const topics = join(session.folder, 'topics.json')
  const plan = join(session.folder, 'plan.json')
  const toBrokers = (replicas: number[], topic = 'moved', partition = 0) =>
    writeFileSync(
      plan,
      JSON.stringify({ version: 1, partitions: [{ topic, partition, replicas }] }),
    )
  writeFileSync(topics, JSON.stringify({ topics: [{ topic: 'moved' }], version: 1 }))
  await same(`--generate --topics-to-move-json-file ${topics} --broker-list 1`)
  await same(`--generate --topics-to-move-json-file ${topics} --broker-list 1 --disable-rack-aware`)
  await same(`--generate --topics-to-move-json-file ${topics} --broker-list 7`)
  await same('--list')
  const file = `--reassignment-json-file ${plan}`
  toBrokers([1])
  await same(`--execute ${file}`)
  await same(`--verify ${file}`)
  await same(`--execute ${file} --throttle 100000`)
  await same(`--execute ${file} --additional`)
  await same(`--verify ${file} --preserve-throttles`)
  await session.same(t, 'ConfigCommand', '--describe --broker 1')
  await same(`--verify ${file}`)
  await session.same(t, 'ConfigCommand', '--describe --broker 1', { until: /^(?!.*throttled)/s })
  await same(`--cancel ${file}`)
  await same(`--execute ${file} --disallow-replication-factor-change`)
  toBrokers([2])
  await same(`--execute ${file}`)
  await same(`--verify ${file} --preserve-throttles`)
  toBrokers([1], 'missing')
  await same(`--execute ${file}`)
  await same(`--verify ${file}`)
  toBrokers([1], 'moved', 9)
  await same(`--execute ${file}`)
  toBrokers([1, 1])
  await same(`--execute ${file}`)
  writeFileSync(plan, '{"version":1')
  await same(`--execute ${file}`)
}
