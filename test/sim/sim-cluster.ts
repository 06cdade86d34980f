import { type Logger, silentLogger } from '../../src/base/logger.ts'
import { Broker } from '../../src/broker.ts'
import { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import { loadStartOptions } from '../../src/config/start-options.ts'
import { SimConsul } from './sim-consul.ts'
import { SimHost, type SimProcess } from './sim-host.ts'
import { SimNet } from './sim-net.ts'
import { SimObserver } from './sim-observer.ts'
import { SimRandom } from './sim-random.ts'
import { SimScheduler } from './sim-scheduler.ts'

export type SimClusterOptions = {
  readonly brokers: number
  readonly settings?: Readonly<Record<string, string>>
  /** Wall clocks of the machines differ by up to this. */
  readonly clocksApartMs?: number
  /** Log directories of each broker; the first one if not said. */
  readonly disks?: 1 | 2
  /** In turn; without them no broker has one. */
  readonly racks?: readonly string[]
}

export const PORT = 9_092
const CLUSTER_ID = 'simulated-cluster-id-0'
/** Who watches over a broker starts it again after this time. */
const RESTART_MS = 500

/** The module that a broker loads when it starts: loaded here first, so that no real time passes within. */
const membershipModule = () => import('../../src/server/cluster-membership.ts')

/** Whole brokers on machines of their own, over one network and one Consul: everything follows from the seed. */
export class SimCluster {
  readonly scheduler = new SimScheduler()
  readonly random: SimRandom
  readonly net: SimNet
  readonly consul: SimConsul
  readonly hosts = new Map<number, SimHost>()
  readonly observer: SimObserver
  /** What happened, with its time. */
  readonly story: string[] = []
  readonly #options: SimClusterOptions
  readonly #running = new Map<number, Broker>()
  readonly #wanted = new Set<number>()
  readonly #clients = new Map<string, SimHost>()
  readonly #chance: SimRandom

  constructor(seed: number, options: SimClusterOptions) {
    this.#options = options
    this.random = new SimRandom(seed * 4)
    this.#chance = new SimRandom(seed * 4 + 1)
    this.net = new SimNet(this.scheduler, new SimRandom(seed * 4 + 2))
    this.consul = new SimConsul(this.scheduler, new SimRandom(seed * 4 + 3))
    for (let id = 1; id <= options.brokers; id++) this.hosts.set(id, this.#hostOf(nameOf(id)))
    this.observer = new SimObserver(this)
  }

  get nowMs(): number {
    return this.scheduler.monotonic.nowMs()
  }

  /** Brokers that run and have started. */
  get running(): readonly number[] {
    return [...this.#running.keys()]
  }

  get dataDirs(): readonly string[] {
    return this.#options.disks === 2 ? ['/data', '/data2'] : ['/data']
  }

  get brokerIds(): readonly number[] {
    return [...this.hosts.keys()]
  }

  host(id: number): SimHost {
    const host = this.hosts.get(id)
    if (!host) throw new Error(`there is no broker ${id}`)
    return host
  }

  tell(line: string): void {
    this.story.push(`${(this.nowMs / 1_000).toFixed(3).padStart(9)}  ${line}`)
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.scheduler.schedule(ms, resolve))
  }

  /** @returns false when it did not come true in that time */
  async until(condition: () => boolean, withinMs: number): Promise<boolean> {
    const endMs = this.nowMs + withinMs
    while (!condition()) {
      if (this.nowMs >= endMs) return false
      await this.wait(50)
    }
    return true
  }

  /** A process on a machine without a broker. */
  client(name: string): SimProcess {
    let host = this.#clients.get(name)
    if (!host) {
      host = this.#hostOf(name)
      this.#clients.set(name, host)
    }
    host.kill()
    return host.boot()
  }

  get bootstrap(): { host: string; port: number }[] {
    return this.brokerIds.map((id) => ({ host: nameOf(id), port: PORT }))
  }

  // ------------------------------------------------------------------------------------------------ brokers

  /** Starts a broker, and again when it cannot start or cannot go on, until it is to stay down. */
  start(id: number): void {
    this.#wanted.add(id)
    const host = this.host(id)
    if (!host.process) this.#boot(id, host)
  }

  /** It is still there, and was not started again. */
  #isCurrent(id: number, process: SimProcess): boolean {
    return this.host(id).process === process
  }

  #boot(id: number, host: SimHost): void {
    const process = host.boot()
    this.tell(`broker ${id} starts`)
    const failed = (error: unknown) => {
      if (!this.#isCurrent(id, process)) return
      this.tell(`broker ${id} ends: ${error instanceof Error ? error.message : String(error)}`)
      this.#end(id)
      host.kill()
      this.scheduler.schedule(RESTART_MS, () => {
        if (this.#wanted.has(id) && !host.process) this.#boot(id, host)
      })
    }
    this.#open(id, process, failed).then((broker) => {
      this.#running.set(id, broker)
      this.tell(`broker ${id} takes part`)
    }, failed)
  }

  async #open(id: number, process: SimProcess, onFatal: (error: unknown) => void): Promise<Broker> {
    const { io } = process
    const logger = this.#loggerOf(id)
    const settings = {
      'node.id': String(id),
      listeners: `PLAINTEXT://${nameOf(id)}:${PORT}`,
      'lmq.http.port': '-1',
      'offsets.topic.num.partitions': '2',
      'group.initial.rebalance.delay.ms': '0',
      ...this.#rackOf(id),
      ...this.#options.settings,
    }
    const options = { settings, hostName: nameOf(id), inCluster: true }
    const loaded = loadStartOptions(options, () => '')
    const openStore = () =>
      ConsulMetadataStore.open({
        ...{ io, prefix: 'lmq', clusterId: CLUSTER_ID, folder: '/data/lmq-metadata', logger },
        port: this.consul.connect(nameOf(id), process.enter),
        ...{ sessionTtlMs: 10_000, startTimeoutMs: 60_000 },
      })
    this.observer.booting(id, process)
    const broker = Broker.start({
      ...{ io, loaded, dataDirs: this.dataDirs, logger, onFatal },
      bootId: process.host.bootId,
      cluster: { clusterId: CLUSTER_ID, openStore },
    })
    broker.catch(() => {})
    await this.scheduler.real(membershipModule())
    return broker
  }

  #rackOf(id: number): Record<string, string> {
    const { racks = [] } = this.#options
    const rack = racks[(id - 1) % racks.length]
    return rack === undefined ? {} : { 'broker.rack': rack }
  }

  #loggerOf(id: number): Logger {
    if (!process.env['LMQ_SEED']) return silentLogger
    const line = (level: string) => (facts: object, message: string) =>
      this.tell(`  ${id} ${level} ${message} ${JSON.stringify(facts)}`)
    const logger: Logger = {
      debug: process.env['LMQ_DEBUG'] ? line('debug') : () => {},
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: () => logger,
    }
    return logger
  }

  /** @param andRestart somebody watches over it */
  kill(id: number): void {
    this.#gone(id, `broker ${id} is killed`)
    this.host(id).kill()
  }

  losePower(id: number): void {
    this.#gone(id, `broker ${id} loses power`)
    this.host(id).losePower()
  }

  replace(id: number): void {
    this.#gone(id, `broker ${id} is replaced by an empty machine`)
    this.host(id).replace()
  }

  #gone(id: number, what: string): void {
    this.tell(what)
    this.#wanted.delete(id)
    this.#end(id)
  }

  #end(id: number): void {
    this.#running.delete(id)
    this.observer.gone(id)
  }

  pause(id: number): void {
    this.tell(`broker ${id} hangs`)
    this.host(id).process?.pause()
  }

  resume(id: number): void {
    this.tell(`broker ${id} wakes`)
    this.host(id).process?.resume()
  }

  /** In order, as SIGTERM does. */
  async stop(id: number): Promise<void> {
    const broker = this.#running.get(id)
    const { process } = this.host(id)
    if (!broker || !process) return
    this.tell(`broker ${id} stops`)
    this.#wanted.delete(id)
    await broker.stop()
    if (!this.#isCurrent(id, process)) return
    this.#end(id)
    this.host(id).kill()
    this.tell(`broker ${id} has stopped`)
    if (this.#wanted.has(id)) this.start(id)
  }

  /** Everything gets through, everybody runs. */
  heal(): void {
    this.tell('all is healed')
    this.net.heal()
    this.consul.heal()
    this.consul.setOut(false)
    for (const [id, host] of this.hosts) {
      if (host.process?.isPaused) this.resume(id)
      for (const fault of [host.disk]) fault.fault = () => undefined
      this.start(id)
    }
  }

  /** Every process is gone: nothing of this simulation runs on. */
  end(): void {
    for (const host of [...this.hosts.values(), ...this.#clients.values()]) host.kill()
    this.scheduler.clear()
  }

  #hostOf(name: string): SimHost {
    const { clocksApartMs = 0 } = this.#options
    const offsetMs = clocksApartMs === 0 ? 0 : this.#chance.int(clocksApartMs)
    return new SimHost(name, this.scheduler, this.net, this.#chance, offsetMs)
  }
}

export const nameOf = (id: number): string => `b${id}`
