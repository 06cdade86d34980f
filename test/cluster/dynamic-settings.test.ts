// Goal: a setting of all brokers that is changed while they run is in force on every one of them about a second later, and
// the default is again when it is taken away. Method: `lmq configs` sets message.max.bytes; librdkafka (Python) sends each
// broker a record that is above it.
import t, { type Test } from 'tap'
import { startDriver } from '../compat/harness/client-drivers.ts'
import { uniqueName } from '../compat/harness/context.ts'
import type { Driver, Outcome } from '../compat/harness/driver.ts'
import { runOrThrow } from '../compat/harness/program.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { until } from '../compat/harness/waiting.ts'
import { lmqCommand } from '../tools/lmq-program.ts'
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.ts'

t.setTimeout(0) // the runner limits the file

/** About a second on a quiet machine; this one may be busy. */
const ceilingMs = 30_000
const key = 'message.max.bytes'
const refused = 'MSG_SIZE_TOO_LARGE'

const cluster = await startClusterProcesses({ consulServers: 1 })
const driver = cluster && startDriver('confluent-kafka (Python)', cluster.bootstrap)
t.teardown(async () => {
  await driver?.stop()
  await cluster?.remove()
})
if (!cluster) t.pass('settings', { skip: whyMissing('consul') })
else if (!driver) t.pass('settings', { skip: whyMissing('python') })
else await t.test('message.max.bytes of all brokers', (t) => inForce(t, cluster, driver))

async function inForce(t: Test, cluster: ClusterProcesses, driver: Driver): Promise<void> {
  const topic = uniqueName()
  const configs = new Map<string, string>()
  await cluster.createTopic({ name: topic, partitionCount: 3, replicationFactor: 1, configs })
  const leaders = (await cluster.partitions(topic)).map(({ leader }) => leader)
  t.same(leaders.toSorted(), cluster.brokerIds, 'each broker leads a partition')
  t.same(await told(driver, topic), ['taken', 'taken', 'taken'])
  const lmq = async (...words: string[]) => {
    const [program, ...entry] = lmqCommand()
    await runOrThrow(program, [...entry, 'configs', ...words, '-b', cluster.bootstrap])
  }
  await lmq('set', 'broker', 'default', `${key}=2000`)
  await soon(t, 'set', driver, topic, refused)
  await lmq('unset', 'broker', 'default', key)
  await soon(t, 'unset', driver, topic, 'taken')
}

async function soon(t: Test, what: string, driver: Driver, topic: string, wanted: string) {
  const startMs = performance.now()
  await until(
    `all brokers: ${wanted}`,
    () => told(driver, topic),
    (answers) => answers.every((answer) => answer === wanted),
    ceilingMs,
  )
  const tookMs = Math.round(performance.now() - startMs)
  t.pass(`${what}: in force on all brokers after at most ${tookMs} ms`)
}

/** What each broker says to a record of 4 kB. */
async function told(driver: Driver, topic: string): Promise<string[]> {
  const value = Buffer.alloc(4_000, 'x').toString('base64')
  const records = [0, 1, 2].map((partition) => ({ key: null, value, partition }))
  const load = { topic, records, idempotent: false }
  const { outcomes } = (await driver.call('produce', load)) as { outcomes: (Outcome | null)[] }
  return outcomes.map((outcome) => {
    if (outcome === null) return 'not answered'
    return 'error' in outcome ? outcome.error : 'taken'
  })
}
