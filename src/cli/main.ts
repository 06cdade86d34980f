/**
 * Decides what to load: starting a broker must not pay for the command-line library and the client, and the tools need
 * no broker. Nothing else is decided here.
 */
import { commandFirst } from './command-words.ts'
import { exitCodes } from './exit-codes.ts'

const helpFlags = new Set(['-h', '--help', '-V', '--version', 'help'])

/** `lmq`, `lmq start ...` and `lmq --port ...` start a broker; all else, help too, is for commander. */
function startArguments(argv: readonly string[]): readonly string[] | undefined {
  const [first] = argv
  if (argv.some((word) => helpFlags.has(word))) return undefined
  if (first === undefined || first.startsWith('-')) return argv
  return first === 'start' ? argv.slice(1) : undefined
}

/** Runs the program. @param words without the program's own name */
export async function main(words: readonly string[]): Promise<void> {
  const argv = commandFirst(words)
  const start = startArguments(argv)
  // A reader such as `head` may close its end of the pipe: what is left to write is not wanted.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  try {
    if (start) {
      const { startCommand } = await import('./start.ts')
      process.exitCode = await startCommand(start)
    } else {
      const { runProgram } = await import('./program.ts')
      process.exitCode = await runProgram(argv)
    }
  } catch (error) {
    const { sentenceOf } = await import('./error-sentence.ts')
    const { text, exitCode } = sentenceOf(error)
    process.stderr.write(`lmq: ${text}\n`)
    process.exitCode = exitCode ?? exitCodes.failed
  }
}
