// Goal: unmodified tools tell the truth of a cluster that is not whole. Method: Kafka's own commands and kcat look at three
// brokers while one is dead, and again when it is back: under-replicated partitions, leaders and in-sync replicas, brokers
// and controller, the quorum with what each broker has applied, and that replicas hold the same records.
import { execFile } from 'node:child_process'
import t, { type Test } from 'tap'
import { until } from '../compat/harness/context.ts'
import { javaArgs } from '../compat/harness/java.ts'
import { runOrThrow } from '../compat/harness/program.ts'
import { tool, whyMissing } from '../compat/harness/tools.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'
import { KafkaTools } from './kafka-tools.ts'

t.setTimeout(0) // the runner limits the file

const topic = 'watched'
const verification = 'org.apache.kafka.tools.ReplicaVerificationTool'
const verificationMs = 120_000

const cluster = await startClusterProcesses()
const java = cluster && KafkaTools.start(cluster.bootstrap)
t.teardown(async () => {
  await java?.stop()
  await cluster?.remove()
})
if (!cluster) t.pass('tools', { skip: whyMissing('consul') })
else await t.test('tools', (t) => all(t, cluster))

async function all(t: Test, cluster: ClusterProcesses): Promise<void> {
  await cluster.createTopic({
    ...{ name: topic, partitionCount: 3, replicationFactor: 3 },
    configs: new Map(),
  })
  await t.test('three brokers', (t) => truth(t, cluster, undefined))
  const victim = await cluster.controller()
  await cluster.kill(victim)
  await until(
    'its death is known',
    () => cluster.live(),
    (live) => live.length === 2,
    patienceMs,
  )
  await t.test(`broker ${victim}, the controller, is dead`, (t) => truth(t, cluster, victim))
  await t.test('the catalogue of Consul shows it as critical', (t) => health(t, cluster, victim))
  await cluster.start(victim)
  await cluster.healed()
  await t.test('the catalogue of Consul shows it as passing', (t) => health(t, cluster, undefined))
  await t.test('three brokers again', (t) => truth(t, cluster, undefined))
  await t.test('ReplicaVerificationTool: replicas are alike', (t) => verified(t, cluster))
}

async function truth(t: Test, cluster: ClusterProcesses, dead: number | undefined): Promise<void> {
  const live = cluster.brokerIds.filter((id) => id !== dead)
  await t.test('kcat -L', async (t) => {
    const kcat = tool('kcat')
    if (!kcat) return void t.pass('kcat', { skip: whyMissing('kcat') })
    const args = ['-b', cluster.bootstrap, '-L', '-J', '-t', topic]
    const listed = async () =>
      JSON.parse((await runOrThrow(kcat.path, args)).stdout.toString()) as Listing
    // A broker that died a moment ago is listed for some seconds more.
    const told = await until(
      'the brokers that are there',
      listed,
      ({ brokers }) => brokers.length === live.length,
    )
    t.same(told.brokers.map(({ id }) => id).sort(), live, 'the brokers that are there')
    t.equal(told.controllerid, await cluster.controller())
    const [found] = told.topics
    t.equal(found?.partitions.length, 3)
    for (const { leader, replicas, isrs } of found?.partitions ?? []) {
      t.ok(live.includes(leader), `leader ${leader} is there`)
      t.same(ids(replicas), cluster.brokerIds, 'replicas')
      t.same(ids(isrs), live, 'in-sync replicas')
    }
  })
  if (!java) return void t.pass('Java', { skip: whyMissing('java') })
  await t.test('TopicCommand --under-replicated-partitions', async (t) => {
    const told = await java.run('topics', '--describe --under-replicated-partitions')
    const mine = told.split('\n').filter((line) => line.includes(`Topic: ${topic}\t`))
    t.equal(mine.length, dead === undefined ? 0 : 3, told)
    for (const line of mine) {
      t.same(
        line
          .match(/Isr: ([\d,]+)/)?.[1]
          ?.split(',')
          .map(Number)
          .sort(),
        live,
      )
    }
  })
  await t.test('TopicCommand --unavailable-partitions: none', async (t) => {
    t.equal((await java.run('topics', '--describe --unavailable-partitions')).trim(), '')
  })
  await t.test('MetadataQuorumCommand describe --status', async (t) => {
    const told = await java.run('quorum', 'describe --status')
    t.equal(Number(/LeaderId:\s+(\d+)/.exec(told)?.[1]), await cluster.controller())
    // Nothing is under way: what Consul has is what the controller has.
    const { controllerEpoch, index } = await headOf(cluster)
    t.equal(Number(/LeaderEpoch:\s+(\d+)/.exec(told)?.[1]), controllerEpoch, 'its epoch')
    t.equal(Number(/HighWatermark:\s+(\d+)/.exec(told)?.[1]), index + 1, 'the end of the log')
  })
  await t.test('MetadataQuorumCommand describe --replication', async (t) => {
    const told = await java.run('quorum', 'describe --replication')
    const rows = told
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
    const leaders = rows.filter((row) => row.includes('Leader')).map(([id]) => Number(id))
    t.same(leaders, [await cluster.controller()])
    for (const id of live)
      t.ok(
        rows.some(([first]) => Number(first) === id),
        `broker ${id} has a row`,
      )
  })
}

/** Of the metadata log, as it lies in Consul: a line of JSON, and maybe bytes behind it. */
async function headOf({ consul }: ClusterProcesses) {
  const { body } = await consul.call('GET', '/v1/kv/lmq/processes/head?raw')
  const [line = ''] = body.toString('latin1').split('\n', 1)
  return JSON.parse(line) as { readonly controllerEpoch: number; readonly index: number }
}

type CatalogueEntry = {
  readonly Service: { readonly Meta: Readonly<Record<string, string>> }
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string }[]
}

/** Each broker's check: critical when its process has not been heard of for some time. */
async function health(t: Test, { consul, brokerIds }: ClusterProcesses, dead: number | undefined) {
  const wanted = brokerIds.map((id) => `broker ${id}: ${id === dead ? 'critical' : 'passing'}`)
  const told = await until(
    wanted.join(', '),
    async () => {
      const entries = (await consul.json('/v1/health/service/lmq')) as CatalogueEntry[]
      return entries
        .flatMap(({ Service, Checks }) => {
          const own = Checks.filter(({ CheckID }) => CheckID !== 'serfHealth')
          return own.map(({ Status }) => `broker ${Service.Meta['broker-id']}: ${Status}`)
        })
        .sort()
    },
    (now) => now.join() === wanted.join(),
    patienceMs,
  )
  t.same(told, wanted)
}

type Node = { readonly id: number }
type Listing = {
  readonly controllerid: number
  readonly brokers: readonly Node[]
  readonly topics: readonly {
    readonly partitions: readonly { leader: number; replicas: Node[]; isrs: Node[] }[]
  }[]
}

function ids(nodes: readonly Node[]): number[] {
  return nodes.map(({ id }) => id).sort()
}

/** It reads all replicas for as long as it runs, and tells of each that differs. */
async function verified(t: Test, cluster: ClusterProcesses): Promise<void> {
  const found = tool('java')
  if (!found) return void t.pass('Java', { skip: whyMissing('java') })
  const kcat = tool('kcat')
  if (kcat) {
    const lines = Array.from({ length: 5_000 }, (_, at) => `value ${at}\n`).join('')
    await runOrThrow(kcat.path, ['-b', cluster.bootstrap, '-P', '-t', topic], { input: lines })
  }
  const args = ['--broker-list', cluster.bootstrap, '--topics-include', topic]
  const printed = await new Promise<string>((resolve, reject) => {
    let text = ''
    const all = [...javaArgs(found), verification, ...args, '--report-interval-ms', '2000']
    const child = execFile(
      found.path,
      all,
      { timeout: verificationMs },
      (_error, stdout, stderr) => {
        if (/max lag is/.test(stdout)) resolve(stdout)
        else reject(new Error(`${stdout}\n${stderr}`))
      },
    )
    child.stdout?.on('data', (chunk: string) => {
      text += chunk
      // The second report has read what there is.
      if ((text.match(/max lag is/g) ?? []).length >= 3) child.kill('SIGTERM')
    })
  })
  t.notMatch(printed, /partition .* differ|mismatch|don't match|checksum/i, printed)
  t.match(printed, /max lag is 0/, 'no replica is behind')
}
