// Goal: real data go through the broker unharmed, also when it is killed. Method: the larger files of vega-datasets, keyed,
// are produced by kcat and by Java with each codec and read back by four client libraries; each must give every record once,
// byte for byte, in order per key. Then the broker is killed with -9 while kcat, Java and Python produce, each codec by one of
// them, starts again on the same port and folder, and the same must hold for what was acknowledged.
import { type ChildProcess, spawn } from 'node:child_process'
import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { givenBootstrap, startTestBroker, type TestBroker } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { uniqueName, until } from './harness/context.ts'
import { type ClientName, type Codec, codecs, type Driver, Unsupported } from './harness/driver.ts'
import { MatrixNotes } from './harness/matrix.ts'
import { runOrThrow } from './harness/program.ts'
import { compareWithFile, type Ends, type RealData, writeRealData } from './harness/real-data.ts'
import { storedCodecs } from './harness/stored-codecs.ts'
import { kcatVersion, type Tool, tool, whyMissing } from './harness/tools.ts'

const partitionCount = 4
const readers: readonly ClientName[] = [
  'kafkajs',
  'confluent-kafka (Python)',
  'franz-go (Go)',
  'Java',
]
const leastRecords = 100_000
const realData = 'real data, byte for byte'
const killed = 'real data through kill -9'

/** Each codec is on its way once while the broker is killed: kcat, which ends then, sends several at the same time. */
const kcatKilledWith: readonly Codec[] = ['none', 'gzip', 'snappy']
const killedDrivers: readonly (readonly [client: ClientName, codec: Codec])[] = [
  ['Java', 'zstd'],
  ['confluent-kafka (Python)', 'lz4'],
]

/** Records that kcat is given before the next pause, while the broker is killed half way. */
const chunkLines = 1_000
const chunkPauseMs = 10

class World {
  readonly broker: TestBroker
  readonly folder: string
  readonly data: RealData
  readonly kcat = tool('kcat')
  readonly #drivers = new Map<ClientName, Driver>()
  readonly #notes = new Map<string, MatrixNotes>()

  constructor(broker: TestBroker, folder: string, data: RealData) {
    this.broker = broker
    this.folder = folder
    this.data = data
    for (const client of readers) {
      const driver = startDriver(client, broker.bootstrap)
      if (driver) this.#drivers.set(client, driver)
    }
  }

  driver(client: ClientName): Driver | undefined {
    return this.#drivers.get(client)
  }

  /** One cell of the matrix; what went wrong once stays wrong. */
  note(client: string, version: string, feature: string, holds: boolean): void {
    const notes = this.#notes.get(client) ?? new MatrixNotes(client, version)
    this.#notes.set(client, notes)
    notes.note(feature, holds ? 'yes' : 'no')
  }

  async topic(): Promise<string> {
    const name = uniqueName()
    const topics = [{ name, partitions: partitionCount, replicationFactor: 1 }]
    await this.#drivers.get('kafkajs')?.call('createTopics', { topics })
    return name
  }

  async stop(): Promise<void> {
    for (const [client, notes] of this.#notes) {
      notes.write(`real-data-${client.replaceAll(/\W/g, '')}`)
    }
    for (const driver of this.#drivers.values()) await driver.stop()
    await this.broker.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

t.setTimeout(0) // the runner limits the file
const folder = mkdtempSync(join(tmpdir(), 'lmq-real-'))
const world = new World(
  await startTestBroker(),
  folder,
  writeRealData(folder, process.env['LMQ_LONG'] === '1'),
)
t.teardown(() => world.stop())
const { fileCount, recordCount } = world.data
t.ok(recordCount >= leastRecords, `${recordCount} records of ${fileCount} files`)

for (const codec of codecs) {
  await t.test(`kcat, ${codec}`, async (t) => {
    if (!world.kcat) return void t.pass('kcat', { skip: whyMissing('kcat') })
    const topic = await world.topic()
    await runOrThrow(world.kcat.path, [
      ...kcatArgs(world, topic),
      '-z',
      codec,
      '-l',
      world.data.path,
    ])
    await readByAll(t, world, topic, codec)
    world.note('kcat', kcatVersion(world.kcat), realData, t.passing())
  })
  await t.test(`Java, ${codec}`, (t) => producedByDriver(t, world, 'Java', codec))
}

if (!givenBootstrap) {
  await t.test('kcat, and the broker killed', async (t) => {
    if (!world.kcat) return void t.pass('kcat', { skip: whyMissing('kcat') })
    await killedUnderKcat(t, world, world.kcat)
  })
  for (const [client, codec] of killedDrivers) {
    await t.test(`${client}, ${codec}, and the broker killed`, (t) =>
      killedUnderDriver(t, world, client, codec),
    )
  }
}

function kcatArgs({ broker }: World, topic: string): string[] {
  return ['-b', broker.bootstrap, '-P', '-t', topic, '-K', '\t', '-X', 'linger.ms=20']
}

async function producedByDriver(t: Test, world: World, client: ClientName, codec: Codec) {
  const producer = world.driver(client)
  if (!producer) return void t.pass(client, { skip: `${client} is missing` })
  const topic = await world.topic()
  const { path, recordCount } = world.data
  const answer = await producer.call('produceFile', { topic, codec, path })
  t.same([answer['acknowledged'], answer['errors']], [recordCount, []], 'all are acknowledged')
  await readByAll(t, world, topic, codec)
}

type Reading = { readonly feature?: string; readonly complete?: boolean }

/** Two readers at a time: there are two cores. @returns where each found the ends; empty for one that cannot read this */
async function readByAll(
  t: Test,
  world: World,
  topic: string,
  codec: Codec,
  reading: Reading = {},
): Promise<Map<ClientName, Ends>> {
  const [a, b, c, d] = readers
  const found = new Map<ClientName, Ends>()
  for (const pair of [
    [a, c],
    [b, d],
  ]) {
    const each = async (client: ClientName | undefined) => {
      if (client) found.set(client, await readBy(t, world, topic, client, codec, reading))
    }
    await Promise.all(pair.map(each))
  }
  return found
}

async function readBy(
  t: Test,
  world: World,
  topic: string,
  client: ClientName,
  codec: Codec,
  { feature = realData, complete = true }: Reading,
): Promise<Ends> {
  const { data, folder } = world
  const reader = world.driver(client)
  if (!reader) {
    t.pass(`${client} reads ${codec}`, { skip: `${client} is missing` })
    return new Map()
  }
  const path = join(folder, `${topic}-${client.replaceAll(/\W/g, '')}`)
  try {
    await reader.call('consumeFile', { topic, path })
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error
    t.pass(`${client} reads ${codec}`, { skip: error.message })
    return new Map()
  }
  const { wrong, ends } = compareWithFile(data, path, complete)
  world.note(client, reader.version, feature, wrong.length === 0)
  t.same(wrong, [], `${client} reads every record of ${codec} once, in order per key`)
  rmSync(path)
  return ends
}

function partWritten(world: World, topic: string): Promise<number> {
  const end = () => endOf(world.driver('kafkajs'), topic)
  return until('a third is written', end, (count) => count >= world.data.recordCount / 3)
}

async function endOf(driver: Driver | undefined, topic: string): Promise<number> {
  const answer = await driver?.call('listOffsets', { topic, at: 'latest' })
  const offsets = (answer?.['offsets'] ?? {}) as Record<string, number>
  return Object.values(offsets).reduce((sum, offset) => sum + offset, 0)
}

/** kcat ends when its only broker is gone. What it was told is there must be, and nothing twice. */
async function killedUnderKcat(t: Test, world: World, kcat: Tool): Promise<void> {
  const runs: KcatRun[] = []
  for (const codec of kcatKilledWith) runs.push(startKcat(world, kcat, await world.topic(), codec))
  await Promise.all(runs.map(({ topic }) => partWritten(world, topic)))
  for (const { codec, child } of runs) {
    t.equal(child.exitCode, null, `${codec}: the broker is killed before the end`)
  }
  await world.broker.crash()
  await Promise.all(runs.map(({ ended }) => ended))
  await world.broker.start()
  for (const { topic, codec, acknowledged } of runs) {
    t.ok(acknowledged.size > 0, `${codec}: some records are acknowledged`)
    t.ok(storedCodecs(world.broker.dataFolder, topic).has(codec), `${codec} is what was stored`)
    const found = await readByAll(t, world, topic, codec, { feature: killed, complete: false })
    for (const [client, ends] of found) {
      if (ends.size === 0) continue
      for (const [partition, offset] of acknowledged) {
        const place = `${client}, ${codec}: ${partition}:${offset} is there`
        t.ok((ends.get(partition) ?? 0) > offset, place)
      }
    }
  }
  world.note('kcat', kcatVersion(kcat), killed, t.passing())
}

type KcatRun = {
  readonly topic: string
  readonly codec: Codec
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  /** Grows while it runs. */
  readonly acknowledged: ReadonlyMap<number, number>
}

function startKcat(world: World, kcat: Tool, topic: string, codec: Codec): KcatRun {
  const settings = ['-z', codec, '-X', 'enable.idempotence=true', '-v', '-v', '-v']
  const child = spawn(kcat.path, [...kcatArgs(world, topic), ...settings], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  const acknowledged = acknowledgedBy(child)
  const ended = new Promise((resolve) => child.once('close', resolve))
  void feed(child, world.data.path)
  return { topic, codec, child, ended, acknowledged }
}

/** The highest offset of each partition that kcat says was delivered. */
function acknowledgedBy(child: ChildProcess): Map<number, number> {
  const offsets = new Map<number, number>()
  if (!child.stderr) return offsets
  createInterface({ input: child.stderr }).on('line', (line) => {
    const found = /delivered to partition (\d+) \(offset (\d+)\)/.exec(line)
    if (!found) return
    const [partition, offset] = [Number(found[1]), Number(found[2])]
    offsets.set(partition, Math.max(offset, offsets.get(partition) ?? -1))
  })
  return offsets
}

/** Gives a program lines, slowly enough that the broker can be killed in between. */
async function feed(child: ChildProcess, path: string): Promise<void> {
  const { stdin } = child
  stdin?.on('error', () => {}) // the program ended
  let chunk: string[] = []
  for await (const line of createInterface({ input: createReadStream(path) })) {
    chunk.push(`${line}\n`)
    if (chunk.length < chunkLines) continue
    stdin?.write(chunk.join(''))
    chunk = []
    await new Promise((resolve) => setTimeout(resolve, chunkPauseMs))
    if (child.exitCode !== null) return
  }
  stdin?.end(chunk.join(''))
}

/** A client library goes on when the broker is back: at the end every record was acknowledged and is there once. */
async function killedUnderDriver(
  t: Test,
  world: World,
  client: ClientName,
  codec: Codec,
): Promise<void> {
  const producer = world.driver(client)
  if (!producer) return void t.pass(client, { skip: `${client} is missing` })
  const topic = await world.topic()
  const { path, recordCount } = world.data
  const slowly = { pauseMs: chunkPauseMs, idempotent: true, codec }
  const produced = producer.call('produceFile', { topic, path, ...slowly })
  const written = await partWritten(world, topic)
  t.ok(written < recordCount, 'the broker is killed before the end')
  await world.broker.crash()
  await world.broker.start()
  const answer = await produced
  t.same([answer['acknowledged'], answer['errors']], [recordCount, []], 'all are acknowledged')
  t.ok(storedCodecs(world.broker.dataFolder, topic).has(codec), `${codec} is what was stored`)
  await readByAll(t, world, topic, codec, { feature: killed })
}
