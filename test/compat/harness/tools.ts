import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../../tools/repository-root.ts'

/** What test/tools/obtain.mjs found: a program and its version, or why it is missing. */
export type Tool = {
  readonly path: string
  readonly version: string
  /** All that the program says of itself. */
  readonly about?: string
  readonly classpath?: string
  /** Where a JavaScript client or a test runner is installed, or where a Go client's tests run. */
  readonly folder?: string
  /** The version of librdkafka in a client. */
  readonly librdkafka?: string
  /** Folder of librdkafka's own tests, or the program of a Go client's. */
  readonly suite?: string
  /** The program that breaks connections for sarama's tests. */
  readonly toxiproxy?: string
  /** The program that runs node-rdkafka's e2e tests. */
  readonly mocha?: string
}

type Found = Tool | { readonly missing: string; readonly skips: string }
export type ToolName =
  | 'kcat'
  | 'python'
  | 'kafkaPython'
  | 'aiokafka'
  | 'platformatic'
  | 'confluentJavascript'
  | 'nodeRdkafka'
  | 'go'
  | 'kafkaGo'
  | 'sarama'
  | 'rust'
  | 'java'
  | 'consul'
  | 'jest'
  | 'vitest'
  | 'vitestOnNode22'
  | 'oldestNode'

const found = new Map<ToolName, Found>()

/** @returns the tool, or undefined where this machine cannot have it: skip the test with `whyMissing` then */
export function tool(name: ToolName): Tool | undefined {
  const facts = factsOf(name)
  return 'missing' in facts ? undefined : facts
}

export function whyMissing(name: ToolName): string {
  const facts = factsOf(name)
  return 'missing' in facts ? `${name} is missing` : ''
}

/** A test run has asked for all tools at once and says where it noted them; a file that is run alone asks itself. */
function factsOf(name: ToolName): Found {
  const known = found.get(name)
  if (known) return known
  const noted = process.env['LMQ_TOOLS']
  const all = noted ? readFileSync(noted, 'utf8') : obtain(name)
  const facts = (JSON.parse(all) as Record<string, Found>)[name] ?? {
    missing: 'it was not asked for',
    skips: name,
  }
  found.set(name, facts)
  return facts
}

function obtain(name: ToolName): string {
  const script = join(repositoryRoot(import.meta.url), 'test', 'tools', 'obtain.mjs')
  return execFileSync(process.execPath, [script, '--json', name], { encoding: 'utf8' })
}

/** kcat is as good as the library in it. */
export function kcatVersion({ version, about = '' }: Tool): string {
  return `${version}, librdkafka ${/librdkafka (\S+)/.exec(about)?.[1] ?? 'unknown'}`
}
