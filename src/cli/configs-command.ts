import { Command } from 'commander'
import {
  alterConfigs,
  type ConfigChange,
  type ConfigResource,
  describeConfigs,
  type ResourceType,
  resourceTypes,
} from '../client/admin-configs.ts'
import { UsageError } from './error-sentence.ts'
import { settingsOf } from './start-flags.ts'
import { collect, withTool, withToolFlags } from './tool.ts'

/** `ConfigSource` in words. */
const sources: Readonly<Record<number, string>> = {
  1: 'topic',
  2: 'broker, dynamic',
  3: 'all brokers, dynamic',
  4: 'broker, static',
  5: 'default',
  6: 'broker logger',
  7: 'client metrics',
  8: 'group',
}
const defaultSource = 5

function resourceOf(type: string, name: string): ConfigResource {
  if (!(type in resourceTypes)) {
    throw new UsageError(`${type}: give one of ${Object.keys(resourceTypes).join(', ')}`)
  }
  const isDefault = type === 'broker' && name === 'default'
  return { type: type as ResourceType, name: isDefault ? '' : name }
}

export function configsCommand(): Command {
  const configs = new Command('configs').description(
    'show and change settings of topics, brokers, groups and client metrics',
  )
  withToolFlags(configs)
  const kinds = 'topic, broker, group or client-metrics'
  configs
    .command('describe <type> <name>')
    .description(`settings of a ${kinds}; \`broker default\` is the default of all brokers`)
    .option('--all', 'settings at their default, too')
    .option('--about', 'what each setting means')
    .action(describe)
  configs
    .command('set <type> <name> [settings...]')
    .description('set key=value settings, all or none')
    .option('--append <key=value>', 'add to a list; may be repeated', collect)
    .option('--subtract <key=value>', 'take from a list; may be repeated', collect)
    .option('--dry-run', 'only ask whether it would be done')
    .action(set)
  configs.command('unset <type> <name> <keys...>').description('back to the default').action(unset)
  return configs
}

const describe = (
  type: string,
  name: string,
  flags: { all?: boolean; about?: boolean },
  command: Command,
): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const entries = await describeConfigs(client, resourceOf(type, name))
    const shown = entries.filter(({ configSource }) => flags.all || configSource !== defaultSource)
    output.list(
      shown,
      [
        { title: 'SETTING', value: (entry) => entry.name },
        { title: 'VALUE', value: (entry) => (entry.isSensitive ? '(hidden)' : entry.value) },
        { title: 'FROM', value: (entry) => sources[entry.configSource] },
        ...(flags.about
          ? [{ title: 'ABOUT', value: (entry: (typeof shown)[number]) => entry.documentation }]
          : []),
      ],
      'Everything is at its default: --all shows it.',
      (entry) => ({
        name: entry.name,
        value: entry.value,
        source: sources[entry.configSource] ?? 'unknown',
        readOnly: entry.readOnly,
        isSensitive: entry.isSensitive,
        ...(flags.about ? { about: entry.documentation } : {}),
      }),
    )
  })

const set = (
  type: string,
  name: string,
  words: string[],
  flags: { append?: string[]; subtract?: string[]; dryRun?: boolean },
  command: Command,
): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const changesOf = (list: readonly string[], operation: ConfigChange['operation']) =>
      Object.entries(settingsOf(list)).map(
        ([key, value]): ConfigChange => ({ name: key, operation, value }),
      )
    const changes = [
      ...changesOf(words, 'set'),
      ...changesOf(flags.append ?? [], 'append'),
      ...changesOf(flags.subtract ?? [], 'subtract'),
    ]
    if (changes.length === 0) {
      throw new UsageError('nothing to set: say key=value, --append or --subtract')
    }
    const validateOnly = flags.dryRun === true
    await alterConfigs(client, resourceOf(type, name), changes, { validateOnly })
    const names = changes.map((change) => change.name)
    const verb = validateOnly ? 'could be set' : 'set'
    output.done({ type, name, changed: validateOnly ? [] : names }, `${verb}: ${names.join(', ')}`)
  })

const unset = (
  type: string,
  name: string,
  keys: string[],
  _flags: object,
  command: Command,
): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const changes = keys.map(
      (key): ConfigChange => ({ name: key, operation: 'delete', value: null }),
    )
    await alterConfigs(client, resourceOf(type, name), changes)
    output.done({ type, name, changed: keys }, `back to the default: ${keys.join(', ')}`)
  })
