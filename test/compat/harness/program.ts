import { spawn } from 'node:child_process'

const keptBytes = 200_000_000

export type ProgramResult = {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export type ProgramOptions = {
  readonly input?: string | Buffer
  /** After this time the program is killed, and its result says so by `code` null. */
  readonly limitMs?: number
  /** Added to this process's own; a variable that is undefined here is taken away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
}

/** Runs a program to its end and gives all that it printed. */
export function runProgram(
  program: string,
  args: readonly string[],
  { input = '', limitMs = 120_000, env = {}, cwd }: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd !== undefined && { cwd }),
      timeout: limitMs,
      killSignal: 'SIGKILL',
    })
    const stdout: Buffer[] = []
    let bytes = 0
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes < keptBytes) stdout.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = `${stderr}${chunk.toString()}`.slice(-20_000)
    })
    child.stdin.on('error', () => {}) // it may end before it has read everything
    child.stdin.end(input)
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(stdout), stderr }))
  })
}

/** @throws with what the program printed when it fails */
export async function runOrThrow(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const result = await runProgram(program, args, options)
  if (result.code === 0) return result
  const printed = `${result.stdout.toString().slice(-2000)}\n${result.stderr.slice(-2000)}`
  throw new Error(`${program} ${args.join(' ')} ended with ${result.code}:\n${printed}`)
}
