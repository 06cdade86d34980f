// Runs a test in a process of its own, with a bug planted in the code or without one.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Parser, type Result } from 'tap-parser'
import type { Catcher } from './planted-code.ts'

export type Outcome = {
  /** Tests at the top of the file that ran, and whether they passed. */
  readonly tests: ReadonlyMap<string, boolean>
  /** The process did not end by itself, or wrote no results. */
  readonly broken: string | undefined
}

const IS_SOURCE = import.meta.url.endsWith('.ts')
const ENDING = IS_SOURCE ? 'ts' : 'js'
const LOADER = IS_SOURCE ? ['--import', 'tsx'] : []
const PRELOAD = new URL(`planted-preload.${ENDING}`, import.meta.url).href
/** Of a test that takes a second on an idle machine. */
const LIMIT_MS = 120_000

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

/**
 * @param tests those at the top of the file; others do not run
 * @param planted the bug's name; undefined: none
 */
export function runTests(
  file: string,
  tests: readonly string[],
  planted: string | undefined,
): Promise<Outcome> {
  const path = fileURLToPath(new URL(`../${file}.test.${ENDING}`, import.meta.url))
  const child = spawn(process.execPath, [...LOADER, '--import', PRELOAD, path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      LMQ_LONG: undefined,
      LMQ_QUICK: '1',
      LMQ_PLANTED: planted ?? '',
      TAP_GREP: `/^(${tests.map(escaped).join('|')})$/`,
    },
  })
  return outcomeOf(child)
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const tests = new Map<string, boolean>()
  let stderr = ''
  let isLate = false
  const parser = new Parser()
  parser.on('assert', ({ name, ok, skip }: Result) => {
    if (!skip) tests.set(name, ok)
  })
  child.stdout?.on('data', (chunk: Buffer) => parser.write(chunk))
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk}`.slice(-2_000)
  })
  // A bug may keep it from ever giving way to a signal that it could handle.
  const limit = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, LIMIT_MS)
  return new Promise((resolve) => {
    child.on('close', () => {
      clearTimeout(limit)
      parser.end()
      const why = isLate
        ? 'it does not end'
        : tests.size === 0
          ? `nothing ran: ${stderr}`
          : undefined
      resolve({ tests, broken: why })
    })
  })
}

/** @returns undefined when the test fails because of the bug; else why it says nothing about it */
export async function whyNotCaught(
  bug: string,
  { file, test }: Catcher,
): Promise<string | undefined> {
  const { tests, broken } = await runTests(file, [test], bug)
  if (broken !== undefined) return broken
  const isPassed = tests.get(test)
  if (isPassed === undefined) return 'there is no such test'
  return isPassed ? 'it passes' : undefined
}
