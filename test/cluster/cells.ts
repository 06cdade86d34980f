// The cells of README's table of what goes on in a cluster that is not whole, as checks of one cluster: an unmodified client
// (librdkafka, Python) produces, consumes, commits and creates topics, and all it was told is held against what is there.
import type { Test } from 'tap'
import { startDriver } from '../compat/harness/client-drivers.ts'
import { uniqueName } from '../compat/harness/context.ts'
import type { Driver } from '../compat/harness/driver.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { until } from '../compat/harness/waiting.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'
import { Ledger, type WriteOptions } from './ledger.ts'

const client = 'confluent-kafka (Python)'
const partitions = [0, 1, 2]
/** What an application that has no patience waits for. */
export const soonMs = 4_000
/** The client tells of the broker's own words only when it may not try again. */
const atOnce: WriteOptions = { idempotent: false, settings: { retries: 0 } }

/** Starts three brokers on three Consul servers, and ends them. */
export async function onCluster(t: Test, body: (cells: Cells) => Promise<void>): Promise<void> {
  const cluster = await startClusterProcesses({ settings: { 'offsets.topic.num.partitions': '3' } })
  const driver = cluster && startDriver(client, cluster.bootstrap)
  t.teardown(async () => {
    await driver?.stop()
    await cluster?.remove()
  })
  if (!cluster) return void t.pass('degraded', { skip: whyMissing('consul') })
  if (!driver) return void t.pass('degraded', { skip: whyMissing('python') })
  const cells = new Cells(cluster, driver)
  try {
    await cells.createTopics()
    await body(cells)
  } finally {
    if (!t.passing()) t.comment(cluster.output)
  }
}

export class Cells {
  readonly cluster: ClusterProcesses
  readonly ledger: Ledger
  /** By what they can bear: all brokers have all of `three`, `strict` needs two of them, `two` has two replicas. */
  readonly topics = { two: uniqueName(), three: uniqueName(), strict: uniqueName() }
  /** Topics made by applications: how many replicas were asked for. */
  readonly #created = new Map<string, number>()

  constructor(cluster: ClusterProcesses, driver: Driver) {
    this.cluster = cluster
    this.ledger = new Ledger(driver)
  }

  async createTopics(): Promise<void> {
    const create = (name: string, replicationFactor: number, configs: [string, string][] = []) =>
      this.cluster.createTopic({
        name,
        partitionCount: partitions.length,
        replicationFactor,
        configs: new Map(configs),
      })
    await create(this.topics.two, 2)
    await create(this.topics.three, 3)
    await create(this.topics.strict, 3, [['min.insync.replicas', '2']])
  }

  produces(t: Test, topic: string, options: WriteOptions = {}): Promise<unknown> {
    return t.test('produce', async (t) => t.same(await this.ledger.write(topic, options), []))
  }

  /** All that was ever acknowledged can be read. */
  consumes(t: Test, topic: string, places = partitions): Promise<unknown> {
    return t.test('consume', async (t) => t.same(await this.ledger.wrong(topic, places), []))
  }

  commits(t: Test): Promise<unknown> {
    return t.test('commit', async (t) => t.resolves(this.#groupOf(uniqueName(), this.topics.three)))
  }

  /** As with Kafka: replicas on brokers that are away come when those do. */
  creates(t: Test): Promise<unknown> {
    return t.test('create a topic', async (t) => {
      for (const replicationFactor of [1, 2, 3]) {
        const name = uniqueName()
        t.equal(await this.created(name, replicationFactor), null, `${replicationFactor} replicas`)
        this.#created.set(name, replicationFactor)
      }
    })
  }

  /** What must work: everything, but with one broker alone what needs two. */
  async works(t: Test, can: { readonly strict: boolean }): Promise<void> {
    const { three, strict } = this.topics
    await this.produces(t, three)
    await this.consumes(t, three)
    await t.test('where two replicas must be in sync', async (t) => {
      if (can.strict) await this.produces(t, strict)
      else {
        await t.test('produce: refused', async (t) => {
          const all = partitions.map(() => 'NOT_ENOUGH_REPLICAS')
          t.same(await this.ledger.write(strict, atOnce), all)
        })
      }
      await this.consumes(t, strict)
    })
    await this.commits(t)
    await this.creates(t)
  }

  /** Everybody is back: nothing that was acknowledged is lost, and topics have the replicas that they were made with. */
  async heals(t: Test): Promise<void> {
    await this.cluster.healed()
    await t.test('everybody is back', async (t) => {
      t.same(await this.ledger.wrongAnywhere(), [], 'all that was acknowledged is there, once')
      for (const [name, replicationFactor] of this.#created) {
        const [state] = await this.cluster.partitions(name)
        t.equal(state?.replicas.length, replicationFactor, 'replicas')
        t.equal(state?.isr.length, replicationFactor, 'in sync')
      }
      this.#created.clear()
    })
  }

  /** Waits until the cluster knows who is there, and has let those lead that can. */
  async known(live: readonly number[]): Promise<void> {
    await until(
      `brokers ${live.join()} are there`,
      () => this.cluster.live().catch(() => []),
      (now) => now.toSorted().join() === live.toSorted().join(),
      patienceMs,
    )
  }

  /** Waits until others lead a topic. */
  async led(topic: string, live: readonly number[], places = partitions): Promise<void> {
    await until(
      `${topic} is led by ${live.join()}`,
      () => this.cluster.partitions(topic),
      (states) => places.every((place) => live.includes(states[place]?.leader ?? -1)),
      patienceMs,
    )
  }

  async created(name: string, replicationFactor: number): Promise<string | null> {
    return await this.#newcomer((driver) => create(driver, name, replicationFactor))
  }

  /** A client that knows its controller and has nothing else to do, so that a creation is on its way at once. */
  async maker(): Promise<{ make(name: string): Promise<string | null>; stop(): Promise<void> }> {
    const driver = startDriver(client, this.cluster.bootstrap)
    if (!driver) throw new Error('the client is gone')
    const make = (name: string) => create(driver, name, 3)
    await make(uniqueName())
    return { make, stop: () => driver.stop() }
  }

  /** Commits for a group, and asks for what it has committed. */
  async #groupOf(group: string, topic: string): Promise<void> {
    const { offsets } = await this.#newcomer(async (driver) => {
      await driver.call('setGroupOffsets', { group, topic, offsets: { 0: 1, 1: 0, 2: 0 } })
      const answer = await driver.call('groupOffsets', { group })
      return answer as { offsets: Record<string, Record<string, number>> }
    })
    if (offsets[topic]?.['0'] !== 1) throw new Error(`committed is ${JSON.stringify(offsets)}`)
  }

  /**
   * Administration is done by a client that has just started. librdkafka's admin client does not look for another
   * controller while the one that it knows is away; and one that lives on while brokers come and go drops those that are
   * not in its metadata, can be left with only dropped ones, and then never finds a coordinator (2.16.1: its own time-out,
   * and the assertion of https://github.com/confluentinc/librdkafka/issues/4605).
   */
  async #newcomer<T>(body: (driver: Driver) => Promise<T>): Promise<T> {
    const driver = startDriver(client, this.cluster.bootstrap)
    if (!driver) throw new Error('the client is gone')
    try {
      return await body(driver)
    } finally {
      await driver.stop()
    }
  }
}

/** @returns null, or what the client was told */
export async function create(
  driver: Driver,
  name: string,
  replicationFactor: number,
): Promise<string | null> {
  const topics = [{ name, partitions: 1, replicationFactor }]
  const answer = (await driver.call('createTopics', { topics })) as {
    results: Record<string, string | null>
  }
  return answer.results[name] ?? null
}
