// Goal: the simulated Consul is one that the metadata store can be built on, so what is found with it means something.
// Method: the contract suites that a real Consul passes, with simulated time going on beside the tests.
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import type { ConsulPort } from '../../src/cluster/consul/consul-port.ts'
import { consulStoreContract } from '../contract/consul-store.ts'
import { locksContract } from '../contract/locks.ts'
import { metadataStoreContract } from '../contract/metadata-store.ts'
import { SimConsul } from './sim-consul.ts'
import { SimHost } from './sim-host.ts'
import { SimNet } from './sim-net.ts'
import { SimRandom } from './sim-random.ts'
import { SimScheduler } from './sim-scheduler.ts'

/** Simulated milliseconds for each look at the sockets. */
const STEP_MS = 20
let worlds = 0

class Bench {
  readonly scheduler = new SimScheduler()
  readonly random = new SimRandom(++worlds)
  readonly consul = new SimConsul(this.scheduler, this.random)
  readonly #hosts = new Map<string, SimHost>()
  readonly #stores: ConsulMetadataStore[] = []
  readonly #net = new SimNet(this.scheduler, this.random)
  #isOver = false
  readonly #driven: Promise<void>

  constructor() {
    this.#driven = this.#drive()
  }

  async #drive(): Promise<void> {
    while (!this.#isOver) {
      await this.scheduler.advance(STEP_MS)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async open(
    broker: string,
    port: ConsulPort = this.consul.connect(),
  ): Promise<ConsulMetadataStore> {
    let host = this.#hosts.get(broker)
    if (!host) {
      host = new SimHost(broker, this.scheduler, this.#net, this.random)
      this.#hosts.set(broker, host)
    }
    const { io } = host.process ?? host.boot()
    const store = await ConsulMetadataStore.open({
      ...{ io, port, prefix: 'lmq', clusterId: 'c', folder: '/metadata', logger: silentLogger },
      ...{ sessionTtlMs: 10_000, startTimeoutMs: 5_000, watchWaitMs: 1_000 },
      cleanupDelayMs: 100,
    })
    this.#stores.push(store)
    return store
  }

  async closeAll(): Promise<void> {
    for (const store of this.#stores.splice(0)) await store.close()
  }

  async end(): Promise<void> {
    await this.closeAll()
    this.#isOver = true
    await this.#driven
  }
}

metadataStoreContract(t, async () => {
  const bench = new Bench()
  let brokers = 0
  const open = () => bench.open(`broker-${++brokers}`)
  return {
    store: await open(),
    second: open,
    reopen: async () => {
      await bench.closeAll()
      brokers = 0
      return open()
    },
    remove: () => bench.end(),
  }
})

locksContract(t, async () => {
  const bench = new Bench()
  const one = await bench.open('one')
  const two = await bench.open('two')
  return { locks: one.locks, second: two.locks, remove: () => bench.end() }
})

consulStoreContract(t, async (t: Test) => {
  const bench = new Bench()
  t.teardown(() => bench.end())
  return {
    connect: () => bench.consul.connect(),
    open: (port, broker) => bench.open(broker, port),
    root: 'lmq/c/',
    until: async (condition, what) => {
      const giveUpMs = Date.now() + 30_000
      while (!(await condition())) {
        if (Date.now() > giveUpMs) throw new Error(`waited in vain for ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    },
    remove: async () => {},
  }
})
