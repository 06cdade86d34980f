// Goal: ApiVersions names exactly Kafka 4.3.1's range for each API that LMQ serves, and LMQ serves what it names.
import t from 'tap'
import { createApiTable } from '../../src/server/handlers.ts'
import { kafka43Advertised, kafka43Served } from './kafka-versions.ts'

/** What a single broker of Kafka names and LMQ does not serve yet: transactions, security, newer groups, upgrades. */
const notServed: ReadonlySet<number> = new Set([
  24, 25, 26, 27, 28, 29, 30, 31, 38, 39, 40, 41, 51, 65, 66, 68, 69, 76, 77, 78, 79, 80, 81, 83,
  84, 85, 86, 87, 88, 89, 90, 91, 92,
])

function text({ min, max }: { min: number; max: number }): string {
  return min === max ? `${min}` : `${min}-${max}`
}

t.test('advertised and served versions', async (t) => {
  const served = new Map(kafka43Served.map(([key, , versions]) => [key, versions]))
  for (const { api, versions, advertised } of createApiTable().all()) {
    t.equal(text(advertised), kafka43Advertised.get(api.key), `${api.name}, advertised`)
    t.equal(text(versions), served.get(api.key), `${api.name}, served`)
  }
})

t.test('nothing that Kafka names is missing by accident', async (t) => {
  const named = new Set([...createApiTable().all()].map(({ api }) => api.key))
  const missing = [...kafka43Advertised.keys()].filter((key) => !named.has(key))
  t.same(missing, [...notServed])
})
