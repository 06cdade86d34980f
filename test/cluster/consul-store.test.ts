// Goal: the store tells the truth when answers of Consul are lost, come late, or Consul forgot what it knew.
// Method: the contract for every ConsulPort, over a real Consul and a port that loses what it is told to lose.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { whyMissing } from '../compat/harness/tools.ts'
import { consulStoreContract } from '../contract/consul-store.ts'
import { openStore, portTo, until } from './consul-fixture.ts'
import { startConsul } from './consul-servers.ts'

t.setTimeout(300_000)
const consul = await startConsul({ inMemory: true })
let clusters = 0

if (!consul) {
  t.test('the store on Consul', { skip: whyMissing('consul') }, async () => {})
} else {
  t.teardown(() => consul.remove())
  consulStoreContract(t, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lmq-store-'))
    const clusterId = `faults-${++clusters}`
    return {
      connect: () => portTo(consul.addresses),
      open: (port, broker) =>
        openStore({ port, clusterId, folder: join(folder, broker), cleanupDelayMs: 50 }),
      root: `lmq/${clusterId}/`,
      until,
      remove: () => rm(folder, { recursive: true }),
    }
  })
}
