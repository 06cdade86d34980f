// Goal: the metadata store and the locks keep their promises on a real Consul. Method: the contract suites, each test with
// a cluster id of its own on one server.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { whyMissing } from '../compat/harness/tools.ts'
import { locksContract } from '../contract/locks.ts'
import { metadataStoreContract } from '../contract/metadata-store.ts'
import { openStore, portTo } from './consul-fixture.ts'
import { startConsul } from './consul-servers.ts'

t.setTimeout(300_000)
const consul = await startConsul({ inMemory: true })
let clusters = 0

if (!consul) {
  t.test('contract on Consul', { skip: whyMissing('consul') }, async () => {})
} else {
  t.teardown(() => consul.remove())

  metadataStoreContract(t, async () => {
    const root = await mkdtemp(join(tmpdir(), 'lmq-store-'))
    const clusterId = `contract-${++clusters}`
    let brokers = 0
    const open = async () => {
      const folder = join(root, `broker-${++brokers}`)
      const store = await openStore({ port: portTo(consul.addresses), clusterId, folder })
      stores.push(store)
      return store
    }
    const stores: Awaited<ReturnType<typeof openStore>>[] = []
    const closeAll = async () => {
      for (const store of stores.splice(0)) await store.close()
    }
    return {
      store: await open(),
      second: open,
      reopen: async () => {
        await closeAll()
        brokers = 0
        return open()
      },
      remove: async () => {
        await closeAll()
        await rm(root, { recursive: true })
      },
    }
  })

  locksContract(t, async () => {
    const clusterId = `contract-${++clusters}`
    const one = await openStore({ port: portTo(consul.addresses), clusterId })
    const two = await openStore({ port: portTo(consul.addresses), clusterId })
    return {
      locks: one.locks,
      second: two.locks,
      remove: async () => {
        await one.close()
        await two.close()
      },
    }
  })
}
