import { Command } from 'commander'
import { alterConfigs, type ConfigChange, describeConfigs } from '../client/admin-configs.ts'
import {
  createPartitions,
  createTopic,
  deleteRecords,
  deleteTopic,
  listTopics,
} from '../client/admin-topics.ts'
import type { Client, TopicMetadata } from '../client/client.ts'
import { listOffsets, OffsetSpec } from '../client/offsets.ts'
import { OutcomeError } from '../client/outcome-error.ts'
import { UsageError } from './error-sentence.ts'
import { Progress } from './progress.ts'
import { removeEach } from './remove-each.ts'
import { settingsOf } from './start-flags.ts'
import { collect, integerOf, withTool, withToolFlags } from './tool.ts'

const isOutcome = (error: unknown, name: string): boolean =>
  error instanceof OutcomeError && error.errorName === name

export function topicsCommand(): Command {
  const topics = new Command('topics').description('list, create, describe, change, delete topics')
  withToolFlags(topics)
  topics
    .command('list')
    .description('all topics with their partitions and replicas')
    .option('--internal', 'show internal topics, too')
    .action((flags: { internal?: boolean }, command: Command) => list(flags, command))
  topics
    .command('create <topics...>')
    .description('create topics')
    .option('-p, --partitions <number>', "partitions; without it the cluster's default")
    .option('-r, --replication <number>', "replicas; without it the cluster's default")
    .option('-c, --config <key=value>', 'a setting of the topic; may be repeated', collect)
    .option('--if-not-exists', 'no error for topics that are there')
    .option('--dry-run', 'only ask whether it would be done')
    .action(create)
  topics
    .command('describe <topics...>')
    .description('partitions, leaders, replicas, offsets and settings')
    .action(describe)
  topics
    .command('alter <topic>')
    .description('more partitions, other settings')
    .option('-p, --partitions <number>', 'new number of partitions')
    .option('-c, --config <key=value>', 'set a setting; may be repeated', collect)
    .option('--unset <key>', 'back to the default; may be repeated', collect)
    .action(alter)
  topics
    .command('delete <topics...>')
    .description('delete topics and their records')
    .option('--if-exists', 'no error for topics that are not there')
    .action(remove)
  topics
    .command('trim <topic>')
    .description('delete the oldest records')
    .requiredOption('--before <offset>', 'records below this offset go; `end`: all that are there')
    .option('--partition <number>', 'only this partition; may be repeated', collect)
    .action(trim)
  return topics
}

const replicasOf = (topic: TopicMetadata): number => topic.partitions[0]?.replicaNodes.length ?? 0

const list = ({ internal }: { internal?: boolean }, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const all = await listTopics(client, null)
    const shown = all.filter((topic) => internal || !topic.isInternal)
    output.list(
      shown,
      [
        { title: 'TOPIC', value: (topic) => topic.name },
        { title: 'PARTITIONS', value: (topic) => topic.partitions.length },
        { title: 'REPLICAS', value: replicasOf },
        { title: 'INTERNAL', value: (topic) => (topic.isInternal ? 'yes' : 'no') },
      ],
      'There are no topics.',
      (topic) => ({
        name: topic.name,
        topicId: topic.topicId,
        isInternal: topic.isInternal,
        partitions: topic.partitions.length,
        replicationFactor: replicasOf(topic),
      }),
    )
  })

type CreateFlags = {
  partitions?: string
  replication?: string
  config?: string[]
  ifNotExists?: boolean
  dryRun?: boolean
}

const create = (names: string[], flags: CreateFlags, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const { partitions = '-1', replication = '-1', dryRun = false } = flags
    const partitionCount = integerOf('--partitions', partitions, -1)
    const replicationFactor = integerOf('--replication', replication, -1)
    const configs = new Map(Object.entries(settingsOf(flags.config ?? [])))
    const progress = new Progress('created', names.length)
    const results: { name: string; created: boolean; partitions?: number }[] = []
    for (const name of names) {
      try {
        const made = await createTopic(
          client,
          { name, partitionCount, replicationFactor, configs },
          { validateOnly: dryRun },
        )
        results.push({ name, created: !dryRun, partitions: made.partitionCount })
      } catch (error) {
        if (!flags.ifNotExists || !isOutcome(error, 'TOPIC_ALREADY_EXISTS')) throw error
        results.push({ name, created: false })
      }
      progress.advance()
    }
    progress.end()
    const sentence = ({ name, created }: { name: string; created: boolean }): string => {
      if (created) return `created ${name}`
      return dryRun ? `${name} could be created` : `${name} was there already`
    }
    output.done(results, results.map(sentence).join('\n'))
  })

type PartitionRow = {
  partitionIndex: number
  leader: number
  leaderEpoch: number
  replicas: number[]
  isr: number[]
  startOffset: number
  endOffset: number
}

async function partitionRows(client: Client, topic: TopicMetadata): Promise<PartitionRow[]> {
  const name = topic.name ?? ''
  const led = topic.partitions.filter(({ leaderId }) => leaderId >= 0)
  const questions = [OffsetSpec.earliest, OffsetSpec.latest].flatMap((timestamp) =>
    led.map(({ partitionIndex }) => ({ topic: name, partitionIndex, timestamp })),
  )
  const offsets = await listOffsets(client, questions)
  const at = new Map(led.map(({ partitionIndex }, index) => [partitionIndex, index]))
  return topic.partitions
    .map((partition) => {
      const index = at.get(partition.partitionIndex) ?? -1
      return {
        partitionIndex: partition.partitionIndex,
        leader: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
        replicas: partition.replicaNodes,
        isr: partition.isrNodes,
        startOffset: offsets[index]?.offset ?? -1,
        endOffset: offsets[index + led.length]?.offset ?? -1,
      }
    })
    .sort((a, b) => a.partitionIndex - b.partitionIndex)
}

const describe = (names: string[], _flags: object, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const { tableOf } = await import('./output.ts')
    const results: unknown[] = []
    let text = ''
    for (const topic of await listTopics(client, names)) {
      const name = topic.name ?? ''
      const rows = await partitionRows(client, topic)
      const entries = await describeConfigs(client, { type: 'topic', name })
      const own = entries.filter(({ configSource }) => configSource === 1)
      const configs = Object.fromEntries(own.map((entry) => [entry.name, entry.value]))
      const { topicId, isInternal } = topic
      results.push({ name, topicId, isInternal, configs, partitions: rows })
      const settings = own.map((entry) => `${entry.name}=${entry.value}`).join(' ')
      const table = tableOf(rows, [
        { title: 'PARTITION', value: (row) => row.partitionIndex },
        { title: 'LEADER', value: (row) => row.leader },
        { title: 'EPOCH', value: (row) => row.leaderEpoch },
        { title: 'REPLICAS', value: (row) => row.replicas.join(',') },
        { title: 'IN SYNC', value: (row) => row.isr.join(',') },
        { title: 'START', value: (row) => row.startOffset },
        { title: 'END', value: (row) => row.endOffset },
        { title: 'RECORDS', value: (row) => row.endOffset - row.startOffset },
      ])
      text += `${text === '' ? '' : '\n'}${name}  ${topicId}  ${settings || '(default settings)'}\n${table}`
    }
    output.result(results, text)
  })

type AlterFlags = { partitions?: string; config?: string[]; unset?: string[] }

const alter = (name: string, flags: AlterFlags, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const changes: ConfigChange[] = [
      ...Object.entries(settingsOf(flags.config ?? [])).map(
        ([key, value]): ConfigChange => ({ name: key, operation: 'set', value }),
      ),
      ...(flags.unset ?? []).map(
        (key): ConfigChange => ({ name: key, operation: 'delete', value: null }),
      ),
    ]
    if (changes.length === 0 && flags.partitions === undefined) {
      throw new UsageError('nothing to change: say --partitions, --config or --unset')
    }
    if (changes.length > 0) await alterConfigs(client, { type: 'topic', name }, changes)
    if (flags.partitions !== undefined) {
      await createPartitions(client, name, integerOf('--partitions', flags.partitions, 1))
    }
    output.done({ name, changed: true }, `changed ${name}`)
  })

const remove = (
  names: string[],
  { ifExists }: { ifExists?: boolean },
  command: Command,
): Promise<void> =>
  withTool(command, (tool) =>
    removeEach(tool, names, {
      key: 'name',
      remove: (name) => deleteTopic(tool.client, name),
      passedOver: ifExists ? 'UNKNOWN_TOPIC_OR_PARTITION' : undefined,
    }),
  )

const trim = (
  name: string,
  flags: { before: string; partition?: string[] },
  command: Command,
): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const offset = flags.before === 'end' ? -1 : integerOf('--before', flags.before)
    const [topic] = await listTopics(client, [name])
    const indexes =
      flags.partition?.map((text) => integerOf('--partition', text)) ??
      topic?.partitions.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b) ??
      []
    const starts = await deleteRecords(
      client,
      indexes.map((partitionIndex) => ({ topic: name, partitionIndex, offset })),
    )
    const rows = indexes.map((partitionIndex, at) => ({ partitionIndex, startOffset: starts[at] }))
    output.list(
      rows,
      [
        { title: 'PARTITION', value: (row) => row.partitionIndex },
        { title: 'STARTS AT', value: (row) => row.startOffset },
      ],
      'There are no partitions.',
    )
  })
