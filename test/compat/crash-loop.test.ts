// Goal: what was acknowledged survives kill -9, once and in order. Method: idempotent producers of two or more client libraries write
// numbered records while the broker is killed and started again, round after round, after times that vary; at the end all
// partitions are read and compared with the acknowledgements.
import t from 'tap'
import { givenBootstrap, startTestBroker } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { uniqueName } from './harness/context.ts'
import type { ClientName, Driver, Incoming } from './harness/driver.ts'
import { MatrixNotes } from './harness/matrix.ts'

const rounds = process.env['LMQ_LONG'] === '1' ? 50 : 10
const partitions = [0, 1, 2]

/** Time under load before each kill: round by round another point in the life of segments and requests. */
const loadMs = (round: number) => 200 + ((round * 373) % 900)

type LoadResult = {
  sent: number
  acknowledged: [number: number, partition: number, offset: number][]
  errors: string[]
  left: number
}

const candidates: readonly ClientName[] = ['confluent-kafka (Python)', 'franz-go (Go)', 'Java']

t.setTimeout(0) // the runner limits the file
if (givenBootstrap) t.pass('crash loop', { skip: 'the broker is not ours to kill' })
else await crashLoop()

async function crashLoop(): Promise<void> {
  const broker = await startTestBroker({ settings: { 'log.retention.check.interval.ms': '1000' } })
  const started = candidates.map((client) => startDriver(client, broker.bootstrap))
  const drivers = started.filter((driver) => driver !== undefined)
  t.teardown(async () => {
    for (const driver of started) await driver?.stop()
    await broker.stop()
  })
  if (drivers.length < 2) {
    t.pass('crash loop', { skip: 'two of Python, Go and Java are needed' })
    return
  }
  const topic = uniqueName()
  const configs = { 'segment.bytes': '1048576' }
  const wanted = { name: topic, partitions: partitions.length, replicationFactor: 1, configs }
  await drivers[0]?.call('createTopics', { topics: [wanted] })
  const results = await loadThroughCrashes(drivers, topic, async () => {
    await broker.crash()
    await broker.start()
  })
  const records = await readAll(drivers[0], topic)
  for (const [driver, result] of results) {
    judge(driver, result, records)
    const notes = new MatrixNotes(driver.client, driver.version)
    notes.note('idempotent through kill -9', t.passing() ? 'yes' : 'no')
    notes.write(`crash-loop-${nameOf(driver)}`)
  }
}

async function loadThroughCrashes(
  drivers: readonly Driver[],
  topic: string,
  crash: () => Promise<void>,
): Promise<Map<Driver, LoadResult>> {
  for (const driver of drivers) {
    const load = { topic, partitions, idempotent: true, burst: 20, pauseMs: 2 }
    await driver.call('startLoad', { ...load, name: nameOf(driver), deliveryTimeoutMs: 120_000 })
  }
  for (let round = 0; round < rounds; round++) {
    await new Promise((resolve) => setTimeout(resolve, loadMs(round)))
    await crash()
  }
  const results = new Map<Driver, LoadResult>()
  for (const driver of drivers) results.set(driver, (await driver.call('stopLoad')) as LoadResult)
  return results
}

function nameOf({ client }: Driver): string {
  return client.replaceAll(/\W/g, '')
}

async function readAll(reader: Driver | undefined, topic: string): Promise<Incoming[]> {
  const answer = await reader?.call('consume', { topic })
  return (answer?.['records'] ?? []) as Incoming[]
}

/** Every acknowledged record is at its offset; each partition holds a client's numbers rising, none twice. */
function judge(driver: Driver, result: LoadResult, records: readonly Incoming[]): void {
  const name = nameOf(driver)
  const found = new Map<string, number>()
  const disorder: string[] = []
  const latest = new Map<number, number>()
  for (const { partition, offset, value } of records) {
    const [owner, number] = Buffer.from(value ?? '', 'base64')
      .toString()
      .split(':')
    if (owner !== name) continue
    const before = latest.get(partition) ?? -1
    if (Number(number) <= before) disorder.push(`${partition}:${offset} ${number} after ${before}`)
    latest.set(partition, Number(number))
    found.set(`${partition}:${offset}`, Number(number))
  }
  const lost = result.acknowledged.filter(
    ([number, partition, offset]) => offset >= 0 && found.get(`${partition}:${offset}`) !== number,
  )
  const { length: count } = result.acknowledged
  t.ok(count > rounds * 100, `${driver.client}: ${count} records acknowledged in ${rounds} rounds`)
  t.same(result.errors.slice(0, 5), [], `${driver.client}: no error reached the application`)
  t.same([lost.length, lost.slice(0, 5)], [0, []], `${driver.client}: nothing acknowledged is lost`)
  t.same(disorder.slice(0, 5), [], `${driver.client}: in order, none twice`)
  t.equal(found.size, result.sent, `${driver.client}: all that was sent is there`)
}
