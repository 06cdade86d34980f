// Goal: ApiVersions names exactly Kafka 4.3.1's range for each API that LMQ serves, and LMQ serves what it names.
import t from 'tap'
import { createApiTable } from '../../src/server/handlers.ts'
import { kafka43Advertised, kafka43Served } from './kafka-versions.ts'

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
