// Goal: a person brings a cluster back whose Consul lost its data, with `lmq cluster recover` alone. Method: one real
// Consul server whose folder is wiped, a broker in this process, the command as a process of its own.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { createTopic } from '../../src/client/admin-topics.ts'
import { Client, parseBootstrap } from '../../src/client/client.ts'
import { startBroker } from '../../src/index.ts'
import { createNodeIo } from '../../src/io/node-io.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { runLmq } from '../tools/lmq-program.ts'
import { startConsul } from './consul-servers.ts'

t.setTimeout(300_000)
const consul = await startConsul()

async function topicsOf(bootstrap: string, create?: string): Promise<string[]> {
  const client = new Client(createNodeIo(), {
    bootstrap: parseBootstrap(bootstrap),
    clientId: 'recover',
    retryForMs: 30_000,
  })
  try {
    if (create !== undefined)
      await createTopic(client, {
        name: create,
        partitionCount: 1,
        replicationFactor: 1,
        configs: new Map(),
      })
    return (await client.metadata(null)).topics.map(({ name }) => name ?? '')
  } finally {
    await client.close()
  }
}

t.test(
  'a Consul that lost its data gets it back',
  {
    skip: consul ? false : whyMissing('consul'),
  },
  async (t) => {
    if (!consul) return
    const dataDir = await mkdtemp(join(tmpdir(), 'lmq-recover-'))
    t.teardown(() => rm(dataDir, { recursive: true }))
    const address = `lmq.consul.address=${consul.addresses.join(',')}`
    const settings = {
      'lmq.consul.address': consul.addresses.join(','),
      'lmq.consul.start.timeout.ms': '5000',
    }
    const start = () =>
      startBroker({ port: 0, httpPort: -1, dataDir, settings, logger: silentLogger })
    const recover = (...more: string[]) =>
      runLmq(['cluster', 'recover', '--data', dataDir, '--set', address, ...more])

    const broker = await start()
    const { clusterId } = broker
    await topicsOf(broker.bootstrap, 'kept')
    const early = await recover()
    t.equal(early.code, 3, 'not beside a broker that runs')
    t.match(early.err, /another broker uses the data folder/)
    await broker.stop()
    t.match((await recover()).out, /Consul has exactly this/)

    await consul.kill(0)
    consul.wipe(0)
    await consul.start(0)
    await consul.ready()
    await t.rejects(start(), { code: 'LMQ_STORE_DIVERGED' })
    const looked = await recover()
    t.equal(looked.code, 0)
    t.match(looked.out, /Consul nothing\nConsul lacks changes that this broker has/)
    await t.rejects(start(), { code: 'LMQ_STORE_DIVERGED' }, 'looking changes nothing')
    const done = await recover('--from-broker', '--json')
    t.equal(done.code, 0, done.err)
    t.match(JSON.parse(done.out), { clusterId, brokerId: 1, recovered: true, copyIs: 'ahead' })

    const again = await start()
    t.equal(again.clusterId, clusterId)
    t.strictSame(await topicsOf(again.bootstrap), ['kept'])
    const beside = await mkdtemp(join(tmpdir(), 'lmq-recover-'))
    t.teardown(() => rm(beside, { recursive: true }))
    const other = await startBroker({
      ...{ brokerId: 2, port: 0, httpPort: -1, dataDir: beside, settings, logger: silentLogger },
    })
    t.equal(other.clusterId, clusterId, 'a new broker finds the same cluster')
    await other.stop()
    await again.stop()
  },
)

t.test('what cannot be recovered is said in one line', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'lmq-recover-'))
  t.teardown(() => rm(dataDir, { recursive: true }))
  const nowhere = await runLmq(['cluster', 'recover', '--data', dataDir])
  t.equal(nowhere.code, 2)
  t.match(nowhere.err, /^lmq: say where Consul is: --set lmq.consul.address=host:port\n$/)
  const set = 'lmq.consul.address=127.0.0.1:1'
  const empty = await runLmq(['cluster', 'recover', '--data', dataDir, '--set', set])
  t.equal(empty.code, 2)
  t.match(empty.err, /^lmq: .* holds no broker's metadata: name its data folder with --data\n$/)
})

t.test('a start without Consul waits for it, and ends in one line that says so', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'lmq-recover-'))
  t.teardown(() => rm(dataDir, { recursive: true }))
  const settings = ['lmq.consul.address=127.0.0.1:1', 'lmq.consul.start.timeout.ms=1500']
  const sets = settings.flatMap((each) => ['--set', each])
  const flags = ['--port', '0', '--http-port', '-1', '--data', dataDir]
  const { code, err } = await runLmq(['start', ...flags, ...sets])
  t.equal(code, 3)
  t.match(err, /waiting for Consul to answer/)
  const last = err.trimEnd().split('\n').at(-1)
  t.match(last, /^lmq: the metadata store does not answer: check its address/)
  const asked = await runLmq(['topics', 'list', '--bootstrap-consul', '127.0.0.1:1'])
  t.equal(asked.code, 3)
  t.match(asked.err, /^lmq: the metadata store does not answer[^\n]*\n$/)
})

t.teardown(() => consul?.remove())
