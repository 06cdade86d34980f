// Every schema there is, found by reading the folders, so that a new file cannot be forgotten by a test.
import { readdirSync } from 'node:fs'
import { type Api, Message } from '../../src/protocol/schema.ts'
import type { AnyMessage } from './interpreter.ts'

const root = new URL('../../src/protocol/', import.meta.url)

async function exportsOf(folder: string): Promise<unknown[]> {
  const found: unknown[] = []
  // .js when the tests run from their compiled form.
  const files = readdirSync(new URL(`${folder}/`, root)).filter((file) => /\.[jt]s$/.test(file))
  for (const file of files.sort()) {
    const module = (await import(new URL(`${folder}/${file}`, root).href)) as object
    found.push(...Object.values(module))
  }
  return found
}

function isApi(value: unknown): value is Api {
  return typeof value === 'object' && value !== null && 'request' in value && 'response' in value
}

/** The 89 pairs, by ascending key. */
export const allApis: readonly Api[] = (await exportsOf('apis'))
  .filter(isApi)
  .sort((a, b) => a.key - b.key)

/** Headers, consumer protocol, control records, coordinator records. */
export const otherMessages: readonly AnyMessage[] = [
  ...(await exportsOf('messages')),
  ...(await exportsOf('records')),
].filter((value): value is AnyMessage => value instanceof Message)

export const allMessages: readonly AnyMessage[] = [
  ...allApis.flatMap((api) => [api.request, api.response] as unknown as AnyMessage[]),
  ...otherMessages,
]

export function apiByKey(key: number): Api {
  const found = allApis.find((api) => api.key === key)
  if (!found) throw new Error(`no api ${key}`)
  return found
}

/** Each version a message has. */
export function versionsOf(message: { versions: { min: number; max: number } }): number[] {
  const { min, max } = message.versions
  return Array.from({ length: max - min + 1 }, (_, i) => min + i)
}
