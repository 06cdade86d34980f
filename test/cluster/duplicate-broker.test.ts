// Goal: a second broker of the same id is refused, and the first one goes on as if nothing had been. Method: one real
// Consul server; the first broker is the controller, the second one has another folder and port.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startBroker } from '../../src/index.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { startConsul } from './consul-servers.ts'

t.setTimeout(300_000)
const consul = await startConsul({ inMemory: true })
t.teardown(() => consul?.remove())

t.test(
  'a second broker of the same id is refused',
  {
    skip: consul ? false : whyMissing('consul'),
  },
  async (t) => {
    if (!consul) return
    const root = await mkdtemp(join(tmpdir(), 'lmq-duplicate-'))
    t.teardown(() => rm(root, { recursive: true }))
    const settings = { 'lmq.consul.address': consul.addresses.join(',') }
    const start = (brokerId: number, folder: string) =>
      startBroker({ brokerId, port: 0, httpPort: 0, dataDir: join(root, folder), settings })
    const first = await start(1, 'first')
    const beside = await start(2, 'beside')
    const health = async (): Promise<{ controllerId: number; fenced: boolean }> => {
      const answer = await fetch(`${beside.httpAddress}/healthz`)
      return answer.json() as Promise<{ controllerId: number; fenced: boolean }>
    }
    t.match(await health(), { controllerId: 1, fenced: false })
    await t.rejects(start(1, 'second'), { code: 'LMQ_BROKER_REFUSED' })
    t.match(await health(), { controllerId: 1, fenced: false }, 'nobody was replaced or fenced')
    await beside.stop()
    await first.stop()
  },
)
