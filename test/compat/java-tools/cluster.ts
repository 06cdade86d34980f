import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Session, ToolName } from './session.ts'

/**
 * APIs that one of the two does not serve: of transactions, authorization, tokens, the newer group protocols and voters, and
 * those of client metrics, which Kafka only has with a plug-in.
 */
const otherApis = /\((2[4-9]|3[01]|3[89]|4[01]|51|6[5689]|7[126789]|8[0-9]|9[0-2])\): /

/** Features that have no meaning for LMQ; `metadata.version` is what both have. */
const otherFeatures = /^Feature: (?!metadata\.version)/

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
    edit: (text: string) => without(text, otherApis),
  })
  await same('FeatureCommand', 'describe', {
    as: [[/Epoch: \d+/, 'Epoch: N']],
    edit: (text: string) => without(text, otherFeatures),
  })
  await same('FeatureCommand', 'version-mapping')
  await same('FeatureCommand', 'feature-dependencies --feature group.version=1')
  await same('FeatureCommand', 'upgrade --feature metadata.version=99')
  await same('FeatureCommand', 'upgrade --feature no.such.feature=1')
  await same('FeatureCommand', 'upgrade --metadata 4.3-IV0 --dry-run')
  await same('FeatureCommand', 'upgrade --metadata 3.3 --dry-run')
  await same('FeatureCommand', 'downgrade --metadata 4.2-IV1 --dry-run')
  await same('FeatureCommand', 'downgrade --metadata 3.3')
  await same('FeatureCommand', 'disable --feature no.such.feature --dry-run')
  const numbers = { as: [[/\b\d+\b/g, 'N']] as const }
  const anyListener = [/(CONTROLLER|PLAINTEXT):\/\//, 'LISTENER://'] as const
  await same('MetadataQuorumCommand', 'describe --status', { as: [...numbers.as, anyListener] })
  await same('MetadataQuorumCommand', 'describe --replication', numbers)
  await same('MetadataQuorumCommand', 'describe --replication --human-readable', numbers)
  await same('ClusterTool', 'cluster-id', { as: [[/: \S{22}$/, ': ID']] })
  await same('ClusterTool', 'list-endpoints', { as: [[/127\.0\.0\.1 \d+/, 'HOST PORT']] })
  await same('ClusterTool', 'unregister --id 9')
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
