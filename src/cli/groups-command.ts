import { Command } from 'commander'
import {
  deleteCommitted,
  deleteGroup,
  describeGroup,
  groupLag,
  listGroups,
  type PartitionLag,
} from '../client/admin-groups.ts'
import { listTopics } from '../client/admin-topics.ts'
import { commitOffsets, fetchCommitted, type TopicPartition } from '../client/committed-offsets.ts'
import { OutcomeError } from '../client/outcome-error.ts'
import { UsageError } from './error-sentence.ts'
import { tableOf } from './output.ts'
import { type Place, parsePlace, resolvePlaces } from './place.ts'
import { removeEach } from './remove-each.ts'
import { collect, integerOf, type Tool, withTool, withToolFlags } from './tool.ts'

export function groupsCommand(): Command {
  const groups = new Command('groups').description('list, describe, reset, delete consumer groups')
  withToolFlags(groups)
  groups.command('list').description('all groups with their state').action(list)
  groups
    .command('describe <groups...>')
    .description('members, committed offsets and lag')
    .action(describe)
  groups
    .command('reset <group>')
    .description('set committed offsets of a group without members')
    .requiredOption('-t, --topic <topic[:partition]>', 'what to reset; may be repeated', collect)
    .requiredOption('--to <place>', 'beginning, end, an offset, -N (N before the end), or a time')
    .option('--dry-run', 'only show what would be committed')
    .action(reset)
  groups
    .command('forget <group>')
    .description('drop committed offsets of topics that the group does not read now')
    .requiredOption('-t, --topic <topic[:partition]>', 'what to forget; may be repeated', collect)
    .action(forget)
  groups
    .command('delete <groups...>')
    .description('delete groups without members, with what they committed')
    .option('--if-exists', 'no error for groups that are not there')
    .action(remove)
  return groups
}

const list = (_flags: object, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    output.list(
      await listGroups(client),
      [
        { title: 'GROUP', value: (group) => group.groupId },
        { title: 'STATE', value: (group) => group.groupState },
        { title: 'TYPE', value: (group) => group.groupType },
        { title: 'PROTOCOL', value: (group) => group.protocolType },
      ],
      'There are no groups.',
      ({ groupId, groupState, groupType, protocolType }) => ({
        groupId,
        state: groupState,
        type: groupType,
        protocolType,
      }),
    )
  })

const lagColumns = [
  { title: 'TOPIC', value: (row: PartitionLag) => row.topic },
  { title: 'PARTITION', value: (row: PartitionLag) => row.partitionIndex },
  { title: 'COMMITTED', value: (row: PartitionLag) => row.committedOffset },
  { title: 'END', value: (row: PartitionLag) => row.logEndOffset },
  { title: 'LAG', value: (row: PartitionLag) => row.lagRecords },
]

const describe = (names: string[], _flags: object, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const results: unknown[] = []
    const texts: string[] = []
    for (const name of names) {
      const group = await describeGroup(client, name)
      if (group.state === 'Dead') throw new OutcomeError(69, `group ${name}`)
      const partitions = await groupLag(client, name)
      results.push({ ...group, partitions })
      const total = partitions.reduce((sum, { lagRecords }) => sum + lagRecords, 0)
      let text = `${name}  ${group.state}  ${group.members.length} members  lag ${total}\n`
      if (partitions.length > 0) text += tableOf(partitions, lagColumns)
      if (group.members.length > 0) {
        text += tableOf(group.members, [
          { title: 'MEMBER', value: (member) => member.memberId },
          { title: 'CLIENT', value: (member) => member.clientId },
          { title: 'HOST', value: (member) => member.clientHost },
          { title: 'PARTITIONS', value: (member) => assignmentText(member.assignment) },
        ])
      }
      texts.push(text)
    }
    output.result(results, texts.join('\n'))
  })

function assignmentText(assignment: readonly TopicPartition[]): string {
  const topics = new Map<string, number[]>()
  for (const { topic, partitionIndex } of assignment) {
    topics.set(topic, [...(topics.get(topic) ?? []), partitionIndex])
  }
  return [...topics].map(([topic, list]) => `${topic}:${list.join(',')}`).join(' ')
}

/** `topic` is all of its partitions, `topic:3` one of them. */
async function partitionsOf({ client }: Tool, words: readonly string[]): Promise<TopicPartition[]> {
  const found: TopicPartition[] = []
  for (const word of words) {
    const [topic = '', index] = word.split(':', 2)
    if (index !== undefined) {
      found.push({ topic, partitionIndex: integerOf('--topic', index) })
      continue
    }
    const [described] = await listTopics(client, [topic])
    const indexes = (described?.partitions ?? []).map(({ partitionIndex }) => partitionIndex)
    for (const partitionIndex of indexes.sort((a, b) => a - b))
      found.push({ topic, partitionIndex })
  }
  return found
}

const reset = (
  group: string,
  flags: { topic: string[]; to: string; dryRun?: boolean },
  command: Command,
): Promise<void> =>
  withTool(command, async (tool) => {
    const { client, output } = tool
    const place: Place = parsePlace(flags.to)
    const partitions = await partitionsOf(tool, flags.topic)
    const before = await fetchCommitted(client, group, partitions)
    const after = await resolvePlaces(client, partitions, place)
    const rows = after.map((each, at) => ({ ...each, before: before[at]?.offset ?? -1 }))
    if (!flags.dryRun) await commitOffsets(client, group, after)
    output.list(
      rows,
      [
        { title: 'TOPIC', value: (row) => row.topic },
        { title: 'PARTITION', value: (row) => row.partitionIndex },
        { title: 'BEFORE', value: (row) => row.before },
        { title: flags.dryRun ? 'WOULD BE' : 'NOW', value: (row) => row.offset },
      ],
      'There are no partitions.',
    )
  })

const forget = (group: string, flags: { topic: string[] }, command: Command): Promise<void> =>
  withTool(command, async (tool) => {
    const partitions = await partitionsOf(tool, flags.topic)
    if (partitions.length === 0) throw new UsageError('there are no such partitions')
    await deleteCommitted(tool.client, group, partitions)
    tool.output.done({ group, forgot: partitions }, `forgot ${partitions.length} partitions`)
  })

const remove = (
  names: string[],
  { ifExists }: { ifExists?: boolean },
  command: Command,
): Promise<void> =>
  withTool(command, (tool) =>
    removeEach(tool, names, {
      key: 'groupId',
      remove: (name) => deleteGroup(tool.client, name),
      passedOver: ifExists ? 'GROUP_ID_NOT_FOUND' : undefined,
    }),
  )
