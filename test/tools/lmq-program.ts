// The program that is tested, as a process of its own: which one that is, and what it prints.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type Command = readonly [program: string, ...args: string[]]
export type Ended = { readonly code: number | null; readonly out: string; readonly err: string }
export type Running = {
  readonly child: ChildProcess
  /** Resolves when the process is gone and all that it printed is here; never rejects. */
  readonly ended: Promise<Ended>
  /** What was printed so far. */
  out(): string
  err(): string
}

export type LmqOptions = {
  /** Which program: that beside the test when left out. */
  readonly command?: Command
  /** All that it is given to read; when left out, its input stays open until somebody ends it. */
  readonly input?: string
  /** Added to `ownEnvironment`. */
  readonly env?: Readonly<Record<string, string>>
}

/** Compiled tests run the compiled program, sources the sources. */
export function ownCommand(): Command {
  const isSource = import.meta.url.endsWith('.ts')
  const entry = new URL(`../../bin/lmq.${isSource ? 'ts' : 'js'}`, import.meta.url)
  const loader = isSource ? ['--import', import.meta.resolve('tsx')] : []
  return [process.execPath, ...loader, fileURLToPath(entry)]
}

/** What a test run built (it says where), as people start it. A test file that is run alone takes the one beside it. */
export function lmqCommand(): Command {
  const program = process.env['LMQ_PROGRAM']
  return program ? [process.execPath, program] : ownCommand()
}

/** The program takes settings from KAFKA_* and LMQ_* variables; those of the test run are none of its business. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(KAFKA|LMQ)_/.test(name)),
  )
}

/**
 * Starts the program and gathers what it prints. It does not outlive this process.
 *
 * @param words its arguments; as one text when no argument has a space in it
 */
export function startLmq(
  words: string | readonly string[],
  { command = ownCommand(), input, env = {} }: LmqOptions = {},
): Running {
  const [program, ...args] = command
  const own = typeof words === 'string' ? words.split(' ') : words
  const child = spawn(program, [...args, ...own], {
    env: { ...ownEnvironment(), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const orphaned = () => child.kill('SIGKILL')
  process.once('exit', orphaned)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk
  })
  child.stdin.on('error', () => {}) // it may end before it has read everything
  if (input !== undefined) child.stdin.end(input)
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => {
      process.off('exit', orphaned)
      resolve({ code, out, err })
    })
  })
  return { child, ended, out: () => out, err: () => err }
}

/** Runs the program to its end. */
export function runLmq(
  words: string | readonly string[],
  options: LmqOptions = {},
): Promise<Ended> {
  return startLmq(words, { input: '', ...options }).ended
}
