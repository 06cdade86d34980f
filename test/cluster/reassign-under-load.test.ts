// Goal: what operators do with Kafka's own commands while clients are at work harms nobody: a partition is moved with a
// throttle, and a move is cancelled (ReassignPartitionsCommand); leaders are elected (LeaderElectionCommand); a topic gets
// more partitions (TopicCommand). Method: three brokers on three Consul servers, Java's unmodified commands, librdkafka
// (Python) producing idempotently and consuming in groups and by assignment. What the clients noted is judged by
// test/checker.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDriver } from '../compat/harness/client-drivers.ts'
import { until } from '../compat/harness/context.ts'
import type { Driver, Incoming, Outcome } from '../compat/harness/driver.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import {
  type ClusterProcesses,
  type PartitionState,
  patienceMs,
  startClusterProcesses,
} from './cluster-processes.ts'
import { type ClientWork, checkJudged, Histories, longestGapMs } from './histories.ts'
import { KafkaTools } from './kafka-tools.ts'

t.setTimeout(0) // the runner limits the file

const client = 'confluent-kafka (Python)'
const settings = {
  'auto.leader.rebalance.enable': 'false',
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.num.partitions': '3',
  'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
}
const racks = ['a', 'b', 'c']
const moved = 'moved'
const elected = 'elected'
const grown = 'grown'
const valueBytes = 2_000
/** What is there to be copied, at least. */
const filledBytes = 8_000_000
/** Bytes a second with which a move has no end while this test looks at it, and with which it takes some seconds. */
const crawl = 50_000
const walk = 1_500_000
/** What may come at once: a read is as large as `replica.fetch.max.bytes` says, and counts when it is done. */
const slackBytes = 3_000_000
/** Of the topic that grows. */
const keys = 24

type Scene = {
  readonly cluster: ClusterProcesses
  readonly tools: KafkaTools
  readonly driver: Driver
  /** For the files that commands read. */
  readonly folder: string
}

const cluster = await startClusterProcesses({
  settings,
  settingsOf: (id) => ({ 'broker.rack': racks[id - 1] ?? '' }),
  withMetrics: true,
})
const tools = cluster && KafkaTools.start(cluster.bootstrap)
const driver = cluster && startDriver(client, cluster.bootstrap)
const folder = mkdtempSync(join(tmpdir(), 'lmq-reassign-'))
t.teardown(async () => {
  await tools?.stop()
  await driver?.stop()
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})
if (!cluster) t.pass('commands under load', { skip: whyMissing('consul') })
else if (!tools) t.pass('commands under load', { skip: whyMissing('java') })
else if (!driver) t.pass('commands under load', { skip: whyMissing('python') })
else {
  const scene = { cluster, tools, driver, folder }
  try {
    await t.test('ReassignPartitionsCommand', (t) => moves(t, scene))
    await t.test('LeaderElectionCommand: preferred', (t) => prefers(t, scene))
    await t.test('TopicCommand --alter --partitions', (t) => grows(t, scene))
    await t.test('LeaderElectionCommand: unclean', (t) => electsUnclean(t, scene))
  } finally {
    if (!t.passing()) t.comment(cluster.output)
  }
}

/**
 * Runs clients while something is done, lets them end in order, and judges what they noted.
 *
 * @param body gets the names of the clients, in their order
 */
async function underLoad(
  t: Test,
  { cluster }: Scene,
  works: readonly ClientWork[],
  body: (histories: Histories, names: readonly string[]) => Promise<void>,
): Promise<void> {
  const histories = new Histories(cluster.bootstrap)
  t.teardown(() => histories.remove())
  const names: string[] = []
  for (const work of works) names.push((await histories.start(client, work)) ?? '')
  const { topic = '' } = works[0] ?? {}
  await histories.begun()
  const fromMs = Date.now()
  await body(histories, names)
  const gapMs = longestGapMs(histories.acknowledgedMs(names[0]), fromMs, Date.now())
  await histories.finish(() => cluster.ends(topic))
  t.comment(`longest gap of the producer ${Math.round(gapMs)} ms`)
  checkJudged(t, histories, { least: 100 })
}

// ------------------------------------------------------------------------------------------------ moves

async function moves(t: Test, scene: Scene): Promise<void> {
  const { cluster } = scene
  await cluster.createPlacedTopic(moved, [[1, 2]])
  const work = { topic: moved, partitions: [0] }
  const works: ClientWork[] = [
    { role: 'produce', ...work, pauseMs: 20, burst: 2 },
    { role: 'assign', ...work },
    { role: 'group', ...work, group: 'of moved', sessionTimeoutMs: 30_000 },
  ]
  await underLoad(t, scene, works, async (histories) => {
    await fill(histories, cluster)
    const plan = await planned(t, scene)
    await t.test('a move that crawls, and is cancelled', async (t) => {
      await crawls(t, scene, plan, histories)
      await cancelled(t, scene, plan)
    })
    await t.test('a move to its end', (t) => moveToEnd(t, scene, plan))
  })
}

async function sizeOf(cluster: ClusterProcesses, topic: string): Promise<number> {
  return [...(await cluster.ends(topic)).values()].reduce((sum, end) => sum + end, 0)
}

async function fill(histories: Histories, cluster: ClusterProcesses): Promise<void> {
  const before = await sizeOf(cluster, moved)
  const load = { role: 'produce', topic: moved, partitions: [0], pauseMs: 20, burst: 60 } as const
  const name = await histories.start(client, { ...load, valueBytes })
  await until(
    'there is something to move',
    async () => (await sizeOf(cluster, moved)) - before,
    (records) => records * valueBytes > filledBytes * 1.2,
    patienceMs,
  )
  if (name) await histories.stop(name)
}

type Plan = { readonly file: string; readonly replicas: readonly number[] }

/** What the command itself proposes, as an operator would use it. */
async function planned(t: Test, { tools, folder }: Scene): Promise<Plan> {
  const topics = join(folder, 'topics.json')
  writeFileSync(topics, JSON.stringify({ version: 1, topics: [{ topic: moved }] }))
  const asked = `--generate --topics-to-move-json-file ${topics} --broker-list 2,3`
  const told = await tools.run('reassign', asked)
  t.match(told, /Current partition replica assignment\n.*"replicas":\[1,2\]/, '--generate')
  const proposed = /Proposed partition reassignment configuration\n(.*)/.exec(told)?.[1] ?? '{}'
  const { partitions } = JSON.parse(proposed) as { partitions: { replicas: number[] }[] }
  const [replicas = []] = partitions.map((each) => each.replicas)
  t.same(replicas.toSorted(), [2, 3], '--generate: brokers 2 and 3')
  const file = join(folder, 'plan.json')
  writeFileSync(file, proposed)
  return { file: `--reassignment-json-file ${file}`, replicas }
}

async function crawls(t: Test, scene: Scene, plan: Plan, histories: Histories): Promise<void> {
  const { cluster, tools } = scene
  const startMs = performance.now()
  const started = await tools.run('reassign', `--execute ${plan.file} --throttle ${crawl}`)
  t.match(started, 'Successfully started partition reassignment for moved-0', '--execute')
  t.match(started, `The inter-broker throttle limit was set to ${crawl} B/s`, 'its throttle')
  const copied = () => cluster.counted(3, moved, 'replicationbytesin')
  await until('something is copied', copied, (bytes) => bytes > 0, patienceMs)
  const list = await tools.run('reassign', '--list')
  t.match(list, /moved-0: replicas: [123](,[123]){2}\. adding: 3\. removing: 1\./, '--list')
  t.match(
    await tools.run('reassign', `--verify ${plan.file}`),
    'Reassignment of partition moved-0 is still in progress.',
    '--verify',
  )
  const { leaders, followers, rates } = await throttles(scene)
  t.same(leaders, ['0:1', '0:2'], 'who has it is throttled as leader')
  t.same(followers, ['0:3'], 'who gets it is throttled as follower')
  t.same(
    rates,
    cluster.brokerIds.map(() => [crawl, crawl]),
    'all brokers have the rates',
  )
  await readsNear(t, cluster, histories)
  const bytes = await copied()
  const elapsedS = (performance.now() - startMs) / 1_000
  t.comment(`${bytes} bytes copied in ${elapsedS.toFixed(1)} s`)
  t.ok(bytes < elapsedS * crawl + slackBytes, 'no faster than the throttle')
}

/** A reader in the rack of the new replica, which is far behind, is not held back by it. */
async function readsNear(t: Test, cluster: ClusterProcesses, histories: Histories): Promise<void> {
  const end = await sizeOf(cluster, moved)
  const near = { 'client.rack': racks[2] }
  const name = await histories.start(client, {
    ...{ role: 'assign', topic: moved, partitions: [0], settings: near },
  })
  await until(
    'a reader in the rack of the new replica is at the end',
    async () => lastReadBy(histories, name),
    (offset) => offset >= end - 1,
    patienceMs,
  )
  const [state] = await cluster.partitions(moved)
  t.notOk(state?.isr.includes(3), 'all is read near a replica that is behind')
  t.equal(await cluster.counted(3, moved, 'bytesout'), 0, 'not from that one')
}

function lastReadBy(histories: Histories, name: string | undefined): number {
  const notes = histories.notes('poll').filter(({ process }) => process === name)
  const records = (notes.at(-1)?.value ?? []) as [number, number, string][]
  return records.at(-1)?.[1] ?? -1
}

async function cancelled(t: Test, scene: Scene, plan: Plan): Promise<void> {
  const { cluster, tools } = scene
  const told = await tools.run('reassign', `--cancel ${plan.file}`)
  t.match(told, 'Successfully cancelled partition reassignment for: moved-0', '--cancel')
  await placedOn(cluster, moved, [1, 2])
  t.pass('the replicas that it had')
  t.match(await tools.run('reassign', '--list'), 'No partition reassignments found.', '--list')
  await unthrottled(t, scene, '--cancel')
  await until(
    'what was copied is deleted',
    async () => existsSync(join(cluster.broker(3).dataFolder, `${moved}-0`)),
    (isThere) => !isThere,
    patienceMs,
  )
}

async function moveToEnd(t: Test, scene: Scene, plan: Plan): Promise<void> {
  const { cluster, tools } = scene
  const startMs = performance.now()
  await tools.run('reassign', `--execute ${plan.file} --throttle ${walk}`)
  const [state] = await placedOn(cluster, moved, plan.replicas)
  const tookMs = performance.now() - startMs
  const leastMs = (filledBytes / walk) * 1_000
  t.comment(`at ${walk} bytes a second it took ${Math.round(tookMs)} ms, at least ${leastMs} ms`)
  t.ok(tookMs > leastMs / 2, 'the throttle held it')
  t.same(state?.replicas, plan.replicas, 'the replicas of the plan')
  t.ok(plan.replicas.includes(state?.leader ?? -1), 'one of them leads')
  t.match(await tools.run('reassign', '--list'), 'No partition reassignments found.', '--list')
  const { followers } = await throttles(scene)
  t.same(followers, ['0:3'], 'the throttle stays until --verify')
  const told = await tools.run('reassign', `--verify ${plan.file}`)
  t.match(told, 'Reassignment of partition moved-0 is completed.', '--verify')
  t.match(told, 'Clearing broker-level throttles on brokers 1,2,3', 'rates')
  t.match(told, 'Clearing topic-level throttles on topic moved', 'replicas')
  await unthrottled(t, scene, '--verify')
}

/** Waits until a topic's only partition is on these brokers alone, in sync. */
function placedOn(
  cluster: ClusterProcesses,
  topic: string,
  replicas: readonly number[],
): Promise<PartitionState[]> {
  const wanted = replicas.toSorted().join()
  return until(
    `${topic} is on ${wanted}`,
    () => cluster.partitions(topic),
    ([state]) => [state?.replicas, state?.isr].every((ids) => ids?.toSorted().join() === wanted),
    patienceMs,
  )
}

/** The settings of the throttle, as ConfigCommand shows them; of brokers those of leaders and followers. */
async function throttles({ cluster, tools }: Scene) {
  const topic = await tools.run('configs', `--describe --topic ${moved}`)
  const listed = (name: string) =>
    new RegExp(` ${name}\\.replication\\.throttled\\.replicas=([\\d:,]+) `)
      .exec(topic)?.[1]
      ?.split(',')
      .sort() ?? []
  const rates: number[][] = []
  for (const id of cluster.brokerIds) {
    const told = await tools.run('configs', `--describe --broker ${id}`)
    const found = [...told.matchAll(/ (?:leader|follower)\.replication\.throttled\.rate=(\d+) /g)]
    rates.push(found.map((each) => Number(each[1])))
  }
  return { leaders: listed('leader'), followers: listed('follower'), rates }
}

async function unthrottled(t: Test, scene: Scene, by: string): Promise<void> {
  const none = { leaders: [], followers: [], rates: scene.cluster.brokerIds.map(() => []) }
  t.same(await throttles(scene), none, `${by} took the throttle away`)
}

// ------------------------------------------------------------------------------------------------ elections

async function prefers(t: Test, scene: Scene): Promise<void> {
  const { cluster, tools, folder } = scene
  const partitions = [0, 1, 2, 3, 4, 5]
  await cluster.createPlacedTopic(
    elected,
    partitions.map(() => [1, 2, 3]),
  )
  const work = { topic: elected, partitions }
  const works: ClientWork[] = [
    { role: 'produce', ...work, pauseMs: 10 },
    { role: 'group', ...work, group: 'of elected', sessionTimeoutMs: 30_000 },
  ]
  const file = join(folder, 'elect.json')
  const elect = (type: 'preferred' | 'unclean', what: string) =>
    tools.run('election', `--election-type ${type} ${what}`)
  const led = async (byFirst: readonly number[]) => {
    const isFirst = ({ partition, leader }: PartitionState) =>
      (leader === 1) === byFirst.includes(partition)
    const wanted = `of ${elected} broker 1 leads ${byFirst.join() || 'none'}`
    await until(
      wanted,
      () => cluster.partitions(elected),
      (all) => all.every(isFirst),
      patienceMs,
    )
    t.pass(wanted)
  }
  await underLoad(t, scene, works, async () => {
    await cluster.shutDown(1)
    await cluster.start(1)
    await cluster.healed()
    await led([])
    const one = await elect('preferred', `--topic ${elected} --partition 0`)
    t.same(
      namedIn(one, 'Successfully completed leader election \\(PREFERRED\\)'),
      ['elected-0'],
      'one',
    )
    await led([0])
    const places = [0, 1, 2].map((partition) => ({ topic: elected, partition }))
    writeFileSync(file, JSON.stringify({ partitions: places }))
    const some = await elect('preferred', `--path-to-json-file ${file}`)
    const done = namedIn(some, 'Successfully completed leader election \\(PREFERRED\\)')
    t.same(done, ['elected-1', 'elected-2'], 'those of a file')
    t.same(namedIn(some, 'Valid replica already elected'), ['elected-0'], 'one needs none')
    await led([0, 1, 2])
    const all = await elect('preferred', '--all-topic-partitions')
    const own = namedIn(all, 'Successfully completed leader election \\(PREFERRED\\)')
    t.same(
      own.filter((name) => name.startsWith('elected')),
      ['elected-3', 'elected-4', 'elected-5'],
      'all that need it',
    )
    t.notMatch(all, 'Error completing', 'and none in vain')
    await led(partitions)
    t.equal((await elect('preferred', '--all-topic-partitions')).trim(), '', 'none needs it now')
    const unclean = await elect('unclean', `--topic ${elected} --partition 0`)
    t.same(namedIn(unclean, 'Valid replica already elected'), ['elected-0'], 'unclean: no need')
  })
}

/** Partitions that the command names in a sentence. */
function namedIn(printed: string, sentence: string): string[] {
  const found = new RegExp(`${sentence} for partitions (.*)`).exec(printed)
  return found?.[1]?.split(', ').sort() ?? []
}

/** Only where nobody of the ISR lives: what they alone had is lost then, and the next leader serves what it has. */
async function electsUnclean(t: Test, scene: Scene): Promise<void> {
  const { cluster, tools } = scene
  const topic = 'rough'
  await cluster.createPlacedTopic(topic, [[1, 2]])
  const at = `--topic ${topic} --partition 0`
  await write(t, scene, topic, ['on both'])
  await cluster.kill(2)
  await ruled(cluster, topic, { leader: 1, isr: '1' })
  await write(t, scene, topic, ['on 1 alone'])
  await cluster.kill(1)
  await cluster.start(2)
  await until(
    '2 is back',
    () => cluster.live(),
    (live) => live.includes(2),
    patienceMs,
  )
  await ruled(cluster, topic, { leader: -1 })
  const refused = await tools.tried('election', `--election-type preferred ${at}`)
  t.equal(refused.status, 1, 'preferred: it fails')
  const why = /\(PREFERRED\) for partition: rough-0: .*PreferredLeaderNotAvailableException/
  t.match(refused.printed, why, 'and says why')
  await ruled(cluster, topic, { leader: -1 })
  const told = await tools.run('election', `--election-type unclean ${at}`)
  const done = namedIn(told, 'Successfully completed leader election \\(UNCLEAN\\)')
  t.same(done, ['rough-0'], 'unclean: who lives leads')
  await ruled(cluster, topic, { leader: 2 })
  await write(t, scene, topic, ['on 2'])
  await cluster.start(1)
  await cluster.healed()
  const again = await tools.run('election', `--election-type unclean ${at}`)
  t.same(namedIn(again, 'Valid replica already elected'), ['rough-0'], 'once more: no need')
  t.same(await readAll(scene, topic), ['on both', 'on 2'], 'what 2 had, and what it took then')
  const back = await tools.run('election', `--election-type preferred ${at}`)
  const turned = namedIn(back, 'Successfully completed leader election \\(PREFERRED\\)')
  t.same(turned, ['rough-0'], 'preferred: now it can')
  await ruled(cluster, topic, { leader: 1 })
  t.same(await readAll(scene, topic), ['on both', 'on 2'], 'broker 1 has the same')
}

async function ruled(
  cluster: ClusterProcesses,
  topic: string,
  wanted: { readonly leader: number; readonly isr?: string },
): Promise<void> {
  const { leader, isr } = wanted
  await until(
    `${topic} is led by ${leader}`,
    () => cluster.partitions(topic),
    ([state]) => state?.leader === leader && (isr ?? state.isr.join()) === state.isr.join(),
    patienceMs,
  )
}

async function write(t: Test, { driver }: Scene, topic: string, values: string[]): Promise<void> {
  const records = values.map((value) => {
    return { key: null, value: Buffer.from(value).toString('base64'), partition: 0 }
  })
  const { outcomes } = (await driver.call('produce', { topic, records })) as { outcomes: Outcome[] }
  const errors = outcomes.filter((outcome) => !outcome || 'error' in outcome)
  t.same(errors, [], `acknowledged: ${values.join()}`)
}

async function readAll({ driver }: Scene, topic: string): Promise<string[]> {
  const { records } = (await driver.call('consume', { topic })) as { records: Incoming[] }
  return records.map(({ value }) => Buffer.from(value ?? '', 'base64').toString())
}

// ------------------------------------------------------------------------------------------------ more partitions

async function grows(t: Test, scene: Scene): Promise<void> {
  const { cluster, tools } = scene
  const configs = new Map<string, string>()
  await cluster.createTopic({ name: grown, partitionCount: 3, replicationFactor: 2, configs })
  const quick = { 'topic.metadata.refresh.interval.ms': 300 }
  const work = { topic: grown, partitions: [0, 1, 2], settings: quick }
  const group = { group: 'of grown', sessionTimeoutMs: 30_000, commitsOnRevoke: true }
  const works: ClientWork[] = [
    { role: 'produce', ...work, keys, pauseMs: 10, burst: 3 },
    { role: 'group', ...work, ...group },
    { role: 'group', ...work, ...group },
  ]
  const known: Histories[] = []
  await underLoad(t, scene, works, async (histories) => {
    known.push(histories)
    await shared(histories, '0,1,2')
    await tools.run('topics', `--alter --topic ${grown} --partitions 6`)
    await shared(histories, '0,1,2,3,4,5')
    await until(
      'records of the new partitions are read',
      async () => readOf(histories).map(([partition]) => partition),
      (places) => [3, 4, 5].every((wanted) => places.filter((p) => p === wanted).length > 20),
      patienceMs,
    )
  })
  for (const histories of known) onceAndInOrder(t, histories)
}

/** Waits until the members have these partitions, each of them some. */
async function shared(histories: Histories, wanted: string): Promise<void> {
  await until(
    `the members share ${wanted}`,
    async () => {
      const parts = new Map<string, number[]>()
      for (const { process, f, value } of histories.notes('assign', 'revoke')) {
        parts.set(process, f === 'assign' ? (value as number[]) : [])
      }
      return [...parts.values()]
    },
    (parts) =>
      parts.length === 2 &&
      parts.every((part) => part.length > 0) &&
      parts.flat().sort().join() === wanted,
    patienceMs,
  )
}

function readOf(histories: Histories): [partition: number, offset: number, value: string][] {
  return histories.notes('poll').flatMap(({ value }) => value as [number, number, string][])
}

/** What the checker does not ask: nothing is read twice by a group, and a key changes its partition once. */
function onceAndInOrder(t: Test, histories: Histories): void {
  const acknowledged = histories
    .notes('send')
    .filter(({ type }) => type === 'ok')
    .map(({ value }) => value as [number, number, string])
  const read = readOf(histories).map(([, , value]) => value)
  t.equal(read.length, acknowledged.length, `${read.length} records are read`)
  t.equal(new Set(read).size, read.length, 'each once')
  const places = new Map<number, number[]>()
  const numbered = acknowledged.map(([partition, , value]) => ({
    partition,
    number: Number(value.slice(value.indexOf(':') + 1)),
  }))
  for (const { partition, number } of numbered.sort((a, b) => a.number - b.number)) {
    const own = places.get(number % keys) ?? []
    if (own.at(-1) !== partition) own.push(partition)
    places.set(number % keys, own)
  }
  const ways = [...places.values()].map((way) => way.join())
  t.ok(
    [...places.values()].every(({ length }) => length <= 2),
    `each key went from one partition to another once, at most: ${ways.join(' ')}`,
  )
  t.ok(
    [...places.values()].some((way) => (way[1] ?? 0) >= 3),
    'some to a new one',
  )
}
