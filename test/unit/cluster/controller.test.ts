import t, { type Test } from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { configRulesOf } from '../../../src/cluster/config-rules.ts'
import { Controller } from '../../../src/cluster/controller.ts'
import { EmbeddedMetadataStore } from '../../../src/cluster/embedded-metadata-store.ts'
import type { Leadership } from '../../../src/cluster/metadata-store.ts'
import { MetadataTail } from '../../../src/cluster/metadata-tail.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import type { Io } from '../../../src/io/io.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { io, openCluster, tempFolder } from './cluster-fixture.ts'
import { defaults, topic } from './machine-fixture.ts'

const one = (name: string, numPartitions = 1) => ({
  topics: [topic(name, { numPartitions })],
  validateOnly: false,
  defaults,
})

/** A disk whose flushes go through `doing`. */
const flushesThrough = (doing: (flush: () => Promise<void>) => Promise<void>): Io => ({
  ...io,
  disk: {
    ...io.disk,
    openSync: (path, mode) => {
      const file = io.disk.openSync(path, mode)
      const flush = file.flush.bind(file)
      file.flush = () => doing(flush)
      return file
    },
  },
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

t.test('an answered topic can be used at once, and outlives a restart', async (t) => {
  const folder = await tempFolder(t)
  let cluster = await openCluster(folder)
  const [created] = await cluster.controller.createTopics(one('orders', 3))
  t.equal(errorName(created?.errorCode ?? -1), 'NONE')
  t.equal(cluster.image.topic('orders')?.topicId, created?.topicId)
  t.ok(cluster.partitions.get('orders', 2)?.isLeader)
  await cluster.close()

  cluster = await openCluster(folder)
  t.equal(cluster.image.topic('orders')?.topicId, created?.topicId)
  t.match(cluster.partitions.get('orders', 2), { isLeader: true, leaderEpoch: 1 })
  t.equal(cluster.brokerEpoch, 1)
  await cluster.close()
})

t.test('commands of one moment see each other and leave together', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  const before = cluster.image.index
  const names = Array.from({ length: 200 }, (_, at) => `t${at % 100}`)
  const answers = await Promise.all(names.map((name) => cluster.controller.createTopics(one(name))))
  const outcomes = answers.map(([answer]) => errorName(answer?.errorCode ?? -1))
  t.equal(outcomes.filter((outcome) => outcome === 'NONE').length, 100)
  t.equal(outcomes.filter((outcome) => outcome === 'TOPIC_ALREADY_EXISTS').length, 100)
  t.ok(cluster.image.index - before <= 2, `${cluster.image.index - before} entries`)
  await cluster.close()
})

t.test('an answer without records waits for what it rests on', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  const order: string[] = []
  await Promise.all([
    cluster.controller.createTopics(one('a')).then(() => order.push('created')),
    cluster.controller.createTopics(one('a')).then(() => order.push('exists')),
  ])
  t.strictSame(order, ['created', 'exists'])
  await cluster.close()
})

t.test('snapshots keep the log short, and lead to the same image', async (t) => {
  const folder = await tempFolder(t)
  let cluster = await openCluster(folder)
  await cluster.controller.createTopics(one('large', 3_000))
  for (let round = 0; round < 4; round++) {
    await cluster.controller.deleteTopics({
      topics: [{ name: 'large', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    })
    await cluster.controller.createTopics(one('large', 3_000))
  }
  await cluster.controller.createTopics(one('small'))
  while (!(await cluster.store.read(0, 1)).snapshot) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const expected = [...cluster.image.toRecords()].filter(({ kind }) => kind === 'topic')
  await cluster.close()
  cluster = await openCluster(folder)
  const found = [...cluster.image.toRecords()].filter(({ kind }) => kind === 'topic')
  t.strictSame(found, expected)
  t.equal(cluster.image.partitionCount, 3_001)
  await cluster.close()
})

t.test('after a disk error every waiting and every later command is told', async (t) => {
  let isBroken = false
  const through = flushesThrough((flush) => (isBroken ? Promise.reject(new Error('EIO')) : flush()))
  const cluster = await openCluster(await tempFolder(t), { through })
  await cluster.controller.createTopics(one('before'))
  isBroken = true
  const failing = [
    cluster.controller.createTopics(one('a')),
    cluster.controller.createTopics(one('b')),
  ]
  for (const each of failing) await t.rejects(each, { code: 'LMQ_DISK_FLUSH' })
  await t.rejects(cluster.controller.createTopics(one('c')), { code: 'LMQ_NOT_CONTROLLER' })
  t.notOk(cluster.controller.isActive)
  t.strictSame([...cluster.image.topics.keys()], ['before'])
  await cluster.close()
})

t.test('what has outlived its reason while it waited for the store is not written', async (t) => {
  let flushing: (() => void) | undefined
  let isHeld = false
  const through = flushesThrough(async (flush) => {
    if (isHeld) await new Promise<void>((resolve) => (flushing = resolve))
    await flush()
  })
  const cluster = await openCluster(await tempFolder(t), { through })
  const { controller, image, brokerEpoch } = cluster
  const gone = [{ brokerId: 1, brokerEpoch }]
  isHeld = true
  const first = controller.createTopics(one('a'))
  await until(() => flushing !== undefined)
  const late = Promise.allSettled([
    controller.fenceBrokers(gone, () => false),
    controller.createTopics(one('b')),
  ])
  isHeld = false
  flushing?.()
  await first
  for (const outcome of await late) {
    t.match(outcome, { status: 'rejected', reason: { code: 'LMQ_NOT_CONTROLLER' } })
  }
  await until(() => controller.isActive)
  t.equal(image.brokers.get(1)?.fenced, false)
  t.strictSame([...image.topics.keys()], ['a'], 'it was decided after it')
  const answer = await controller.fenceBrokers(gone, () => true)
  t.equal(errorName(answer.errorCode), 'NONE')
  t.equal(image.brokers.get(1)?.fenced, true)
  await cluster.close()
})

t.test(
  'two controllers over one store: one leads, the other takes over where it ended',
  async (t) => {
    const store = EmbeddedMetadataStore.open({ io, folder: undefined, logger: silentLogger })
    const rules = configRulesOf(brokerConfigOf())
    const start = async (brokerId: number) => {
      const tail = new MetadataTail(store, silentLogger, (error) => t.fail(String(error)))
      const candidate = { brokerId, incarnationId: `incarnation ${brokerId}` }
      const controller = new Controller({ io, store, tail, candidate, rules, logger: silentLogger })
      await tail.start()
      await controller.start()
      return { tail, controller }
    }
    const first = await start(1)
    const second = await start(2)
    t.ok(first.controller.isActive)
    t.notOk(second.controller.isActive)
    await t.rejects(second.controller.bootstrap('x', new Map()), { code: 'LMQ_NOT_CONTROLLER' })
    await first.controller.bootstrap('cluster', new Map())
    await first.controller.registerBroker({
      brokerId: 1,
      incarnationId: 'i',
      directoryIds: [],
      bootId: null,
      rack: null,
      hostId: null,
      listeners: [],
      unfenced: true,
    })
    await first.controller.createTopics(one('a'))
    await store.depose(first.controller.controllerEpoch)
    t.notOk(first.controller.isActive)
    await until(() => first.controller.isActive || second.controller.isActive)
    const leader = second.controller.isActive ? second : first
    await leader.controller.createTopics(one('b'))
    await until(() => first.tail.image.topics.size === 2 && second.tail.image.topics.size === 2)
    const [again] = await leader.controller.createTopics(one('a'))
    t.equal(errorName(again?.errorCode ?? -1), 'TOPIC_ALREADY_EXISTS')
    for (const { controller, tail } of [first, second]) {
      await controller.close()
      await tail.close()
    }
    await store.close()
  },
)

t.test('after close commands are refused', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await cluster.close()
  await t.rejects(cluster.controller.createTopics(one('a')), { code: 'LMQ_SHUTTING_DOWN' })
})

t.test('a lead that could not be taken up is given back', async (t) => {
  const store = EmbeddedMetadataStore.open({ io, folder: undefined, logger: silentLogger })
  let leads = 0
  let first: Leadership | undefined
  const lead = store.lead.bind(store)
  const head = store.head.bind(store)
  store.lead = async (candidate) => {
    const leadership = await lead(candidate)
    first ??= leadership
    leads++
    return leadership
  }
  store.head = async () => {
    if (leads !== 1) return head()
    leads++
    throw new Error('the store is away for a moment')
  }
  const tail = new MetadataTail(store, silentLogger, (error) => t.fail(String(error)))
  await tail.start()
  const candidate = { brokerId: 1, incarnationId: 'one' }
  const rules = configRulesOf(brokerConfigOf())
  const logger = silentLogger
  const controller = new Controller({ io, store, tail, candidate, rules, logger })
  await controller.start().catch(() => {})
  t.equal(first?.held, false)
  if (first?.held) await store.depose(first.controllerEpoch)
  await until(() => controller.isActive)
  await controller.bootstrap('cluster', new Map())
  await controller.close()
  await tail.close()
  await store.close()
})

/** A controller in a store of its own, which is not started yet. */
async function candidateIn(t: Test) {
  const store = EmbeddedMetadataStore.open({ io, folder: undefined, logger: silentLogger })
  const tail = new MetadataTail(store, silentLogger, (error) => t.fail(String(error)))
  await tail.start()
  const candidate = { brokerId: 1, incarnationId: 'one' }
  const rules = configRulesOf(brokerConfigOf())
  const controller = new Controller({ io, store, tail, candidate, rules, logger: silentLogger })
  t.teardown(async () => {
    await controller.close()
    await tail.close()
    await store.close()
  })
  return { store, controller }
}

t.test('who failed once and then found another leader runs when that one is gone', async (t) => {
  const { store, controller } = await candidateIn(t)
  const other = await store.lead({ brokerId: 2, incarnationId: 'two' })
  const head = store.head.bind(store)
  let heads = 0
  store.head = async () => {
    if (heads++ === 0) throw new Error('the store is away for a moment')
    return head()
  }
  await t.rejects(controller.start())
  await until(() => heads === 2)
  await new Promise((resolve) => setTimeout(resolve, 5))
  await other?.release()
  await until(() => controller.isActive)
})

t.test('a lead is not given back for one answer that does not come', async (t) => {
  const { store, controller } = await candidateIn(t)
  const lead = store.lead.bind(store)
  const head = store.head.bind(store)
  let leads = 0
  let isSilent = false
  store.lead = async (candidate) => {
    leads++
    isSilent = true
    return lead(candidate)
  }
  store.head = async () => {
    if (!isSilent) return head()
    isSilent = false
    throw new LmqError('LMQ_STORE_UNREACHABLE', {})
  }
  const started = controller.start()
  await until(() => controller.isActive)
  await started
  t.equal(leads, 1)
})

t.test('a lead that is lost as soon as it is won is run for again', async (t) => {
  const { store, controller } = await candidateIn(t)
  const lead = store.lead.bind(store)
  let leads = 0
  store.lead = async (candidate) => {
    const leadership = await lead(candidate)
    if (leads++ > 0 || !leadership) return leadership
    await store.depose(leadership.controllerEpoch)
    return undefined
  }
  await controller.start()
  await until(() => controller.isActive)
  t.equal(leads, 2)
})
