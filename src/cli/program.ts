/** The command line of everything but starting a broker. */
import { Command, CommanderError } from 'commander'
import { VERSION } from '../base/version.ts'
import { type CommandName, toolFlagsWithValue } from './command-words.ts'
import { exitCodes } from './exit-codes.ts'
import { type StartFlag, startFlags } from './start-flags.ts'

/** Commands by name, all over the network but `import`; each is loaded when it is asked for. */
const tools = {
  topics: async () => (await import('./topics-command.ts')).topicsCommand(),
  groups: async () => (await import('./groups-command.ts')).groupsCommand(),
  configs: async () => (await import('./configs-command.ts')).configsCommand(),
  produce: async () => (await import('./produce-command.ts')).produceCommand(),
  consume: async () => (await import('./consume-command.ts')).consumeCommand(),
  cluster: async () => (await import('./cluster-command.ts')).clusterCommand(),
  import: async () => (await import('./import-command.ts')).importCommand(),
} as const satisfies Record<CommandName, () => Promise<Command>>

/** What a group of commands does when none is named. */
const usualCommands: Readonly<Record<string, string>> = {
  topics: 'list',
  groups: 'list',
  cluster: 'describe',
}

/** `lmq topics -b host` means `lmq topics list -b host`. A word that is no command stays, and is refused. */
function withUsualCommand(argv: readonly string[], asked: string | undefined): readonly string[] {
  const usual = usualCommands[asked ?? '']
  const wantsHelp = argv.some((word) => word === '-h' || word === '--help')
  if (usual === undefined || asked === undefined || wantsHelp) return argv
  const after = argv.indexOf(asked) + 1
  const names = argv.slice(after).some((word, at, rest) => {
    return !word.startsWith('-') && !toolFlagsWithValue.has(rest[at - 1] ?? '')
  })
  return names ? argv : [...argv.slice(0, after), usual, ...argv.slice(after)]
}

const codes = `Exit codes: ${exitCodes.done} done, ${exitCodes.failed} refused or failed, ${exitCodes.usage} wrong arguments or settings, ${exitCodes.unavailable} no broker, or port or folder taken.`

function startHelp(): Command {
  const command = new Command('start').description('start a broker (also plain `lmq`)')
  for (const [name, flag] of Object.entries(startFlags) as [string, StartFlag][]) {
    const short = flag.short === undefined ? '' : `-${flag.short}, `
    const value = flag.value === undefined ? '' : ` <${flag.value}>`
    command.option(`${short}--${name}${value}`, flag.about)
  }
  return command.addHelpText(
    'after',
    `\nSettings come from --set, then flags, then KAFKA_* variables as in Kafka's image, then the --config file.\n${codes}`,
  )
}

/** @returns the exit code. @throws what a command failed with */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const program = new Command('lmq')
    .description('A broker that speaks the Kafka protocol, and tools for any Kafka cluster.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('See lmq --help.')
    .addHelpText('after', `\n${codes}`)
  program.addCommand(startHelp())
  const asked = argv.find((word) => Object.hasOwn(tools, word)) as keyof typeof tools | undefined
  const names = asked === undefined ? (Object.keys(tools) as (keyof typeof tools)[]) : [asked]
  for (const name of names) program.addCommand(await tools[name]())
  inheritExit(program)
  try {
    await program.parseAsync(withUsualCommand(argv, asked), { from: 'user' })
    return Number(process.exitCode ?? exitCodes.done)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
  }
}

/** Added commands do not inherit how their parent ends. */
function inheritExit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    // `--bootstrap` and the like are options of the group of commands, and count in each of them.
    if (command.parent) child.configureHelp({ showGlobalOptions: true })
    inheritExit(child)
  }
}
