/** Words of the command line as people order them: `lmq -b host topics` means `lmq topics -b host`. */

export const commandNames = [
  'topics',
  'groups',
  'configs',
  'produce',
  'consume',
  'cluster',
  'import',
] as const

export type CommandName = (typeof commandNames)[number]

/** Flags of every command over the network that take the next word as their value. */
export const toolFlagsWithValue: ReadonlySet<string> = new Set([
  '-b',
  '--bootstrap',
  '--bootstrap-consul',
  '--timeout',
])

const toolFlags = new Set([...toolFlagsWithValue, '--json'])

/** @returns the words with a command in front of the flags that every command takes; otherwise as they were */
export function commandFirst(argv: readonly string[]): readonly string[] {
  let at = 0
  for (let word = argv[at]; word?.startsWith('-'); word = argv[at]) {
    const [name = ''] = word.split('=', 1)
    if (!toolFlags.has(name)) return argv
    at += toolFlagsWithValue.has(word) ? 2 : 1
  }
  const word = argv[at]
  const isCommand = commandNames.some((name) => name === word)
  if (at === 0 || word === undefined || !isCommand) return argv
  return [word, ...argv.slice(0, at), ...argv.slice(at + 1)]
}
