// Goal: unmodified clients read from the closest replica (KIP-392): their records come from the follower in their rack, each
// once; when it is killed they go on from the leader, and return when it is back; the death of the leader harms them as
// little. Method: three brokers in three racks; a librdkafka consumer (Python) and Java's console consumer in the rack of a
// follower, each reads a topic that librdkafka writes. Who gave the records away is told by the brokers' own counters.
import t, { type Test } from 'tap'
import { type Tool, tool, whyMissing } from '../compat/harness/tools.ts'
import { until } from '../compat/harness/waiting.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'
import { ConsoleConsumer, type Given } from './console-consumer.ts'
import { Histories } from './histories.ts'

t.setTimeout(0) // the runner limits the file

const client = 'confluent-kafka (Python)'
const racks = ['a', 'b', 'c']
const leader = 1
const near = 2
const rack = 'b'
const replicas = [leader, near, 3]
/** What is read before and after each change. */
const enough = 300

/** Somebody who reads a topic in the rack of the follower. */
type Reader = {
  readonly name: string
  readonly topic: string
  given(): readonly Given[]
  stop(): Promise<void>
}

const cluster = await startClusterProcesses({
  settings: {
    'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
  },
  settingsOf: (id) => ({ 'broker.rack': racks[id - 1] ?? '' }),
  withMetrics: true,
})
t.teardown(() => cluster?.remove())
if (!cluster) t.pass('closest replica', { skip: whyMissing('consul') })
else if (!tool('python')) t.pass('closest replica', { skip: whyMissing('python') })
else {
  try {
    await t.test('consumers in the rack of a follower', (t) => readsNear(t, cluster))
  } finally {
    if (!t.passing()) t.comment(cluster.output)
  }
}

async function readsNear(t: Test, cluster: ClusterProcesses): Promise<void> {
  const histories = new Map<string, Histories>()
  const readers: Reader[] = []
  t.teardown(async () => {
    for (const reader of readers) await reader.stop()
    for (const history of histories.values()) await history.remove()
  })
  const java = tool('java')
  if (!java) t.pass('Java', { skip: whyMissing('java') })
  for (const topic of ['of-librdkafka', ...(java ? ['of-java'] : [])]) {
    await cluster.createPlacedTopic(topic, [replicas])
    const history = new Histories(cluster.bootstrap)
    histories.set(topic, history)
    const load = { role: 'produce', topic, partitions: [0], pauseMs: 20, burst: 6 } as const
    await history.start(client, { ...load, valueBytes: 500 })
    const isOfJava = topic === 'of-java' && java
    readers.push(
      isOfJava ? javaReader(java, cluster, topic) : await librdkafkaReader(history, topic),
    )
  }
  await moreIsRead(readers)
  for (const reader of readers) await comesFromNear(t, cluster, reader)
  await goOnFromLeader(t, cluster, readers)
  await returnToNear(t, cluster, readers)
  await outliveLeader(t, cluster, readers)
  for (const reader of readers) {
    const history = histories.get(reader.topic)
    if (history) await readOnce(t, cluster, reader, history)
  }
}

async function librdkafkaReader(history: Histories, topic: string): Promise<Reader> {
  const work = { role: 'assign', topic, partitions: [0] } as const
  const name = await history.start(client, { ...work, settings: { 'client.rack': rack } })
  const given = () =>
    history
      .notes('poll')
      .flatMap(({ value }) => value as [number, number, string][])
      .map(([, offset, value]): Given => [offset, value])
  return { name: client, topic, given, stop: () => history.stop(name ?? '') }
}

function javaReader(java: Tool, { bootstrap }: ClusterProcesses, topic: string): Reader {
  const consumer = new ConsoleConsumer(java, [
    ...['--bootstrap-server', bootstrap, '--topic', topic, '--partition', '0'],
    ...['--offset', 'earliest', '--command-property', `client.rack=${rack}`],
  ])
  return { name: 'Java', topic, given: () => consumer.given(), stop: () => consumer.stop() }
}

/** Waits until every reader has read some records more. */
async function moreIsRead(readers: readonly Reader[]): Promise<void> {
  for (const reader of readers) {
    const before = reader.given().length
    await until(
      `${reader.name} reads ${enough} records`,
      async () => reader.given().length - before,
      (count) => count >= enough,
      patienceMs,
    )
  }
}

/** Bytes of a topic that a broker has given to consumers since it started. */
function givenBy(cluster: ClusterProcesses, id: number, { topic }: Reader): Promise<number> {
  return cluster.counted(id, topic, 'bytesout')
}

async function comesFromNear(t: Test, cluster: ClusterProcesses, reader: Reader): Promise<void> {
  t.equal(await cluster.leaderOf(reader.topic, 0), leader, `broker ${leader} leads`)
  const far = await givenBy(cluster, leader, reader)
  const close = await givenBy(cluster, near, reader)
  const count = reader.given().length
  t.comment(`${reader.name}: ${count} records, ${close} bytes from the follower, ${far} from 1`)
  t.ok(close > count * 500, `${reader.name}: records come from the follower`)
  t.ok(far < close / 10, `${reader.name}: not from the leader`)
}

async function goOnFromLeader(t: Test, cluster: ClusterProcesses, readers: readonly Reader[]) {
  const before = new Map<Reader, number>()
  for (const reader of readers) before.set(reader, await givenBy(cluster, leader, reader))
  const killedMs = performance.now()
  await cluster.kill(near)
  for (const reader of readers) {
    await until(
      `${reader.name} reads from the leader`,
      () => givenBy(cluster, leader, reader),
      (bytes) => bytes > (before.get(reader) ?? 0),
      patienceMs,
    )
    const tookMs = Math.round(performance.now() - killedMs)
    t.pass(`${reader.name} reads from the leader, at most ${tookMs} ms after the kill -9`)
  }
  await moreIsRead(readers)
  for (const { topic } of readers)
    t.equal(await cluster.leaderOf(topic, 0), leader, 'which leads still')
}

async function returnToNear(t: Test, cluster: ClusterProcesses, readers: readonly Reader[]) {
  await cluster.start(near)
  await cluster.healed()
  const healedMs = performance.now()
  for (const reader of readers) {
    await until(
      `${reader.name} reads from the follower again`,
      () => givenBy(cluster, near, reader),
      (bytes) => bytes > 0,
      patienceMs,
    )
    const tookMs = Math.round(performance.now() - healedMs)
    t.pass(`${reader.name} reads from the follower again, at most ${tookMs} ms after it is in sync`)
  }
  await moreIsRead(readers)
}

async function outliveLeader(t: Test, cluster: ClusterProcesses, readers: readonly Reader[]) {
  const killedMs = performance.now()
  await cluster.kill(leader)
  await moreIsRead(readers)
  const tookMs = Math.round(performance.now() - killedMs)
  t.pass(`${tookMs} ms after kill -9 of the leader ${enough} records more are read`)
  for (const { topic } of readers) t.not(await cluster.leaderOf(topic, 0), leader, 'another leads')
  await cluster.start(leader)
  await cluster.healed()
}

/** Everything that was acknowledged, at its place, in order, once. */
async function readOnce(
  t: Test,
  cluster: ClusterProcesses,
  reader: Reader,
  history: Histories,
): Promise<void> {
  await history.stopAll('produce')
  const end = (await cluster.ends(reader.topic)).get(0) ?? 0
  await until(
    `${reader.name} has read all`,
    async () => reader.given().at(-1)?.[0] ?? -1,
    (offset) => offset >= end - 1,
    patienceMs,
  )
  const acknowledged = history
    .notes('send')
    .filter(({ type }) => type === 'ok')
    .map(({ value }) => value as [number, number, string])
    .map(([, offset, value]): Given => [offset, value])
    .sort(([a], [b]) => a - b)
  t.equal(acknowledged.length, end, `${end} records are acknowledged`)
  const given = reader.given()
  const wrong = acknowledged.findIndex(([offset, value], at) => {
    const [readOffset, read] = given[at] ?? []
    return readOffset !== offset || read !== value
  })
  t.equal(given.length, end, `${reader.name} read as many`)
  t.equal(wrong, -1, 'each at its place, in order')
  await reader.stop()
  t.same(history.errors.slice(0, 10), [], 'no error reached an application')
}
