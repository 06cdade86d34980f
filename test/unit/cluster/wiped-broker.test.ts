// Goal: a broker that loses its disk and is back under the same id at once, before anybody has missed it, costs no
// acknowledged record: it is neither in sync nor eligible until it has everything again. Method: brokers of this process,
// a producer with acks=all, each broker wiped in turn; with two replicas the ISR is restored in between.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createTopic } from '../../../src/client/admin-topics.ts'
import { Fetcher } from '../../../src/client/fetcher.ts'
import { Producer } from '../../../src/client/producer.ts'
import { clusterOf, patienceMs } from './cluster-of.ts'

const PARTITIONS = 3

t.setTimeout(240_000)

for (const { replicationFactor, minInSync } of [
  { replicationFactor: 2, minInSync: 1 },
  { replicationFactor: 3, minInSync: 2 },
]) {
  t.test(`${replicationFactor} replicas, ${minInSync} in sync at least`, async (t) => {
    const { cluster, client } = await clusterOf(t, { brokers: 3 })
    const name = 'orders'
    const configs = new Map([['min.insync.replicas', String(minInSync)]])
    await createTopic(client, { name, partitionCount: PARTITIONS, replicationFactor, configs })
    const whole = async () => {
      const endMs = performance.now() + patienceMs
      for (;;) {
        const { topics } = await client.metadata([name])
        const states = topics[0]?.partitions ?? []
        const isWhole = states.every(({ isrNodes }) => isrNodes.length === replicationFactor)
        if (states.length === PARTITIONS && isWhole) return
        if (performance.now() > endMs) throw new Error(JSON.stringify(states))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    const producer = new Producer(client)
    let sent = 0
    let isOver = false
    const load = (async () => {
      while (!isOver) {
        const record = { key: null, value: Buffer.from(`${sent}`), timestamp: Date.now() }
        await producer.send(name, record, sent++ % PARTITIONS)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })()
    for (const brokerId of [1, 2, 3, 1]) {
      await whole()
      await producer.flush()
      const folder = join(cluster.dataDir, `broker-${brokerId}`)
      const fromMs = performance.now()
      await cluster.kill(brokerId)
      rmSync(folder, { recursive: true, force: true })
      t.notOk(existsSync(folder))
      const back = cluster.restart(brokerId)
      while (!existsSync(folder)) await new Promise((resolve) => setTimeout(resolve, 1))
      const tookMs = Math.round(performance.now() - fromMs)
      t.comment(`broker ${brokerId} was back on an empty disk after ${tookMs} ms`)
      await back
    }
    await whole()
    isOver = true
    await load
    await producer.flush()

    const fetcher = new Fetcher(client, { maxWaitMs: 100 })
    fetcher.assign(
      Array.from({ length: PARTITIONS }, (_, partitionIndex) => {
        return { topic: name, partitionIndex, offset: 0 }
      }),
    )
    const found: string[] = []
    const endMs = performance.now() + patienceMs
    while (found.length < sent && performance.now() < endMs) {
      for (const { value } of await fetcher.poll()) found.push(String(value))
    }
    t.equal(new Set(found).size, sent, `all of ${sent} records are there`)
    t.equal(found.length, sent, 'and none twice')
  })
}
