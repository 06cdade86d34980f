// Goal: ApiVersions names exactly Kafka 4.3.1's range for each API that LMQ serves, and LMQ serves what it names.
import { existsSync } from 'node:fs'
import t from 'tap'
import type { AnyHandler } from '../../src/server/api-table.ts'
import { kafka43Advertised, kafka43Served } from './kafka-versions.ts'

// The ending is .js when the tests run from their compiled form.
const ending = import.meta.url.slice(-2)
const table = new URL(`../../src/server/handlers.${ending}`, import.meta.url)

function text({ min, max }: { min: number; max: number }): string {
  return min === max ? `${min}` : `${min}-${max}`
}

t.test('advertised and served versions', {
  skip: existsSync(table) ? false : 'there is no table of handlers yet',
}, async (t) => {
  const module = (await import(table.href)) as Record<string, unknown>
  const handlers = Object.values(module).find((value) => Array.isArray(value)) as AnyHandler[]
  t.ok(handlers.length > 0, 'the table of handlers is an exported array')
  const { ApiTable } = await import('../../src/server/api-table.ts')
  const served = new Map(kafka43Served.map(([key, , versions]) => [key, versions]))
  for (const { api, versions, advertised } of new ApiTable(handlers).all()) {
    t.equal(text(advertised), kafka43Advertised.get(api.key), `${api.name}, advertised`)
    t.equal(text(versions), served.get(api.key), `${api.name}, served`)
  }
})
