import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Large enough to be worth sending, small enough for one test file. */
const leastFileBytes = 30_000
const mostFileBytes = 3_000_000

/** Keys are spread over this many values for each file, so that order per key means something. */
const keysPerFile = 50

/**
 * The lines of vega-datasets' larger CSV and JSON files as "key, tab, value" lines: a CSV line as it is, an element of a JSON
 * array as JSON. The key is the file's name and a number.
 */
export type RealData = {
  readonly path: string
  readonly recordCount: number
  readonly fileCount: number
  /** Values by key, in the order of the file. */
  readonly byKey: ReadonlyMap<string, readonly string[]>
}

/**
 * @param folder where the file of lines is written
 * @param long also the largest files
 */
export function writeRealData(folder: string, long: boolean): RealData {
  const data = dataFolder()
  const byKey = new Map<string, string[]>()
  const lines: string[] = []
  let fileCount = 0
  for (const name of readdirSync(data).sort()) {
    if (!/\.(csv|json)$/.test(name)) continue
    const text = readFileSync(join(data, name), 'utf8')
    if (text.length < leastFileBytes || (text.length > mostFileBytes && !long)) continue
    const values = name.endsWith('.csv') ? csvLines(text) : jsonElements(text)
    if (values.length === 0) continue
    fileCount++
    for (const [index, value] of values.entries()) {
      const key = `${name}/${index % keysPerFile}`
      lines.push(`${key}\t${value}\n`)
      const own = byKey.get(key)
      if (own) own.push(value)
      else byKey.set(key, [value])
    }
  }
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'lines')
  writeFileSync(path, lines.join(''))
  return { path, recordCount: lines.length, fileCount, byKey }
}

function dataFolder(): string {
  const require = createRequire(import.meta.url)
  const [found] = require.resolve.paths('vega-datasets') ?? []
  for (const folder of require.resolve.paths('vega-datasets') ?? []) {
    try {
      readdirSync(join(folder, 'vega-datasets', 'data'))
      return join(folder, 'vega-datasets', 'data')
    } catch {
      // Not in this folder: the next one above.
    }
  }
  throw new Error(`vega-datasets is not installed below ${dirname(found ?? '')}`)
}

const csvLines = (text: string) =>
  text
    .split(/\r?\n/)
    .slice(1)
    .filter((line) => line !== '')

function jsonElements(text: string): string[] {
  const parsed: unknown = JSON.parse(text)
  return Array.isArray(parsed) ? parsed.map((element) => JSON.stringify(element)) : []
}

/** Records by partition, in the order of their offsets, without a gap: the next offset of each partition. */
export type Ends = ReadonlyMap<number, number>

/**
 * Compares with what a reader wrote: a line for each record, "partition, tab, offset, tab, key, tab, value", in the order in
 * which it read them.
 *
 * @param complete whether every record must be there; else the records of each key are the first ones that were sent
 * @returns what is wrong, nothing when each record is there once, byte for byte, in order per key; and the ends
 */
export function compareWithFile(
  data: RealData,
  path: string,
  complete: boolean,
): { wrong: string[]; ends: Ends } {
  const wrong: string[] = []
  const seen = new Map<string, number>()
  const ends = new Map<number, number>()
  let count = 0
  for (const line of linesOf(readFileSync(path))) {
    const [partition, offset, key, value] = split(line)
    const next = ends.get(Number(partition)) ?? 0
    if (Number(offset) !== next)
      wrong.push(`partition ${partition}: offset ${offset} after ${next - 1}`)
    ends.set(Number(partition), Number(offset) + 1)
    const index = seen.get(key) ?? 0
    if (data.byKey.get(key)?.[index] !== value) {
      wrong.push(`${key} ${index} at ${partition}:${offset}: ${value.slice(0, 100)}`)
    }
    seen.set(key, index + 1)
    count++
    if (wrong.length > 10) break
  }
  if (complete && count !== data.recordCount) wrong.push(`${count} records of ${data.recordCount}`)
  return { wrong, ends }
}

function* linesOf(all: Buffer): Generator<string> {
  for (let start = 0; start < all.length; ) {
    const end = all.indexOf(10, start)
    yield all.toString('utf8', start, end < 0 ? all.length : end)
    start = end < 0 ? all.length : end + 1
  }
}

function split(line: string): [string, string, string, string] {
  const first = line.indexOf('\t')
  const second = line.indexOf('\t', first + 1)
  const third = line.indexOf('\t', second + 1)
  return [
    line.slice(0, first),
    line.slice(first + 1, second),
    line.slice(second + 1, third),
    line.slice(third + 1),
  ]
}
