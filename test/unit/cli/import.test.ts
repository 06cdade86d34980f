// Goal: an import takes all of its topics or none, also when the process dies in the middle, and says what it cannot take.
// Method: folders as Kafka leaves them, written by the log itself; the disk of `runImport` fails at each of its changes in
// turn, then the same import runs again and what is there is counted.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { configRulesOf } from '../../../src/cluster/config-rules.ts'
import { type ImportPlan, planImport } from '../../../src/cluster/import-plan.ts'
import { finishImport, runImport, unfinishedImport } from '../../../src/cluster/import-run.ts'
import { ImportTarget } from '../../../src/cluster/import-target.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import { loadStartOptions } from '../../../src/config/start-options.ts'
import { startBroker } from '../../../src/index.ts'
import { copyFileDurably } from '../../../src/io/file-copy.ts'
import { isLockedElsewhere } from '../../../src/io/foreign-lock.ts'
import type { Disk, Io } from '../../../src/io/io.ts'
import { readForeignFolder } from '../../../src/log/foreign-folder.ts'
import { inspectForeignLog } from '../../../src/log/foreign-log.ts'
import { exhaust } from '../../../src/log/segment.ts'
import {
  append,
  batchOf,
  follow,
  nodeIo,
  openLogDirs,
  record,
  topicConfig,
} from '../log/log-fixture.ts'

const ids = { orders: 'OmfJvbCnT0qo5xWn3qgDJw', 'other.topic': 'cX_pHlrJTvyRVpoVpWgR3g' }
const { config } = loadStartOptions({}, () => '')

/** A log folder with two topics of two partitions. */
async function kafkaFolder(t: Test, io: Io): Promise<{ root: string; source: string }> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'lmq-import-'))
  t.teardown(() => fs.rmSync(root, { recursive: true, force: true }))
  const source = path.join(root, 'kafka')
  const dirs = await openLogDirs(io, [source])
  for (const [topic, topicId] of Object.entries(ids)) {
    for (const partition of [0, 1]) {
      const log = follow(dirs.create(topic, partition, topicId, topicConfig()))
      const producer = { producerId: 4_321, producerEpoch: 0, baseSequence: 0 }
      await append(log, batchOf(io, [record('a', '1'), record('b', '2')], producer), {
        leaderEpoch: 7,
      })
    }
  }
  await dirs.close()
  return { root, source }
}

function planOf(io: Io, source: string, image = new MetadataImage()): ImportPlan {
  const folder = readForeignFolder(io.disk, source)
  return planImport({
    folders: [folder],
    partitions: folder.partitions.map((found) => ({
      found,
      wasClean: folder.wasClean,
      log: exhaust(inspectForeignLog(io.disk, io.crc32c, found)),
    })),
    metadata: undefined,
    image,
    rules: configRulesOf(config),
    newTopicId: () => io.random.uuid(),
  })
}

async function newTarget(root: string, name: string): Promise<string> {
  const dataDir = path.join(root, name)
  const broker = await startBroker({ dataDir, port: 0, httpPort: -1 })
  await broker.stop()
  return dataDir
}

/** A disk that is gone after so many changes. */
function dying(disk: Disk, changes: number): { disk: Disk; left(): number } {
  let left = changes
  const changing = /^(rename|remove|replace|write|make|flush)/
  const failing = new Proxy(disk, {
    get(target, name: keyof Disk) {
      const call = target[name] as (...args: unknown[]) => unknown
      if (!changing.test(name)) return call
      return (...args: unknown[]) => {
        if (left-- <= 0) throw new Error('the process is dead')
        return call.apply(target, args)
      }
    },
  })
  return { disk: failing, left: () => left }
}

async function importOnce(io: Io, source: string, dir: string, move: boolean): Promise<void> {
  const target = await ImportTarget.open(io, dir, 1, silentLogger)
  try {
    const earlier = unfinishedImport(io, dir)
    if (earlier?.state === 'switching') return await finishImport(earlier, io, target)
    const options = {
      ...{ io, target, settings: config, logger: silentLogger, move },
      copyFile: copyFileDurably,
      onCopied() {},
    }
    await runImport(planOf(io, source, target.image), options, earlier)
  } finally {
    await target.close()
  }
}

for (const move of [false, true]) {
  t.test(`a crash at any moment (${move ? 'moved' : 'copied'})`, async (t) => {
    const io = nodeIo(t)
    const { root: model } = await kafkaFolder(t, io)
    await newTarget(model, 'data')
    for (let changes = 0; ; changes++) {
      const root = `${model}-${changes}`
      fs.cpSync(model, root, { recursive: true, preserveTimestamps: true })
      const source = path.join(root, 'kafka')
      const dir = path.join(root, 'data')
      const { disk, left } = dying(io.disk, changes)
      const failed = await importOnce({ ...io, disk }, source, dir, move).then(
        () => false,
        () => true,
      )
      const state = failed ? unfinishedImport(io, dir)?.state : undefined
      if (state === 'switching') {
        const started = startBroker({ dataDir: dir, port: 0, httpPort: -1 })
        await t.rejects(started, { code: 'LMQ_IMPORT_UNFINISHED' })
      }
      const isThere = fs.existsSync(path.join(dir, 'orders-0')) && state === undefined
      if (failed && !isThere) await importOnce(io, source, dir, move)
      const problem = await problemWith(io, dir)
      if (problem) t.fail(`after ${changes} changes: ${problem}`)
      fs.rmSync(root, { recursive: true })
      if (!failed && left() > 0) break
    }
    t.pass('whole each time')
  })
}

/** All topics are there with all records, under the next leader epoch, and new producers get other ids. */
async function problemWith(io: Io, dir: string): Promise<string | undefined> {
  const target = await ImportTarget.open(io, dir, 1, silentLogger)
  const { image } = target
  const { nextProducerId } = image
  const epochs = [...image.topics.values()].map(({ partitions }) => partitions[1]?.leaderEpoch)
  await target.close()
  const folder = readForeignFolder(io.disk, dir)
  const records = folder.partitions.map(
    (found) => exhaust(inspectForeignLog(io.disk, io.crc32c, found)).records,
  )
  const found = JSON.stringify({
    epochs,
    nextProducerId,
    records,
    isUnfinished: unfinishedImport(io, dir) !== undefined,
  })
  const wanted = JSON.stringify({
    epochs: [7, 7],
    nextProducerId: 5_000,
    records: [2, 2, 2, 2],
    isUnfinished: false,
  })
  return found === wanted ? undefined : found
}

t.test('what is refused, and why', async (t) => {
  const io = nodeIo(t)
  const { source } = await kafkaFolder(t, io)
  const taken = planOf(io, source)
  t.same(taken.refused, [])
  t.match(taken.notes[0], /settings of the topics are not known/)
  fs.renameSync(path.join(source, 'orders-1'), path.join(source, 'orders-2'))
  fs.mkdirSync(path.join(source, 'gone-0.00000000000000000000000000000000-stray'))
  fs.mkdirSync(path.join(source, 'orders-0.00000000000000000000000000000000-future'))
  fs.mkdirSync(path.join(source, '__transaction_state-0'))
  fs.writeFileSync(
    path.join(source, 'other.topic-1', 'partition.metadata'),
    `version: 0\ntopic_id: ${ids.orders}\n`,
  )
  const { refused, leftOut } = planOf(io, source)
  t.same(
    refused.map(({ topic }) => topic),
    ['orders', 'other.topic'],
  )
  t.match(refused[0]?.reason, /partition 1 is not in these folders/)
  t.match(refused[1]?.reason, /different topic ids/)
  t.same(leftOut.length, 3)
  const empty = path.join(source, '..', 'empty')
  fs.mkdirSync(empty)
  t.throws(() => readForeignFolder(io.disk, empty), { code: 'LMQ_LOG_DIR_FOREIGN' })
})

t.test('a folder that is no data folder is left alone', async (t) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'lmq-foreign-'))
  t.teardown(() => fs.rmSync(root, { recursive: true, force: true }))
  fs.writeFileSync(path.join(root, 'letter.txt'), 'Dear all,')
  const options = { dataDir: root, port: 0, httpPort: -1 }
  await t.rejects(startBroker(options), { code: 'LMQ_LOG_DIR_FOREIGN', message: /letter\.txt/ })
  t.same(fs.readdirSync(root), ['letter.txt'])
  fs.rmSync(path.join(root, 'letter.txt'))
  fs.mkdirSync(path.join(root, 'lost+found'))
  const broker = await startBroker(options)
  await broker.stop()
  fs.mkdirSync(path.join(root, '__cluster_metadata-0'))
  await t.rejects(startBroker(options), { code: 'LMQ_LOG_DIR_FOREIGN', message: /lmq import/ })
  t.ok(fs.existsSync(path.join(root, '.kafka_cleanshutdown')), "Kafka's folder is not touched")
  t.equal(isLockedElsewhere(path.join(root, 'meta.properties')) ?? false, false)
})
