// What goes wrong, chosen by the seed.
import type { SimCluster } from './sim-cluster.ts'
import { nameOf } from './sim-cluster.ts'
import { diskError } from './sim-disk.ts'
import type { SimRandom } from './sim-random.ts'

/**
 * - `single`: one broker at a time, and everything in sync again before the next one. Factor 2 lives through it.
 * - `overlapping`: up to two; power and whole machines only while everything is in sync. Factor 3 with two in sync lives
 *   through it.
 * - `durable`: anything, power of all at once too, if no machine is replaced: what was acknowledged is flushed.
 */
export type Profile = 'single' | 'overlapping' | 'durable'

export type NemesisOptions = {
  readonly profile: Profile
  readonly rounds: number
  readonly withConsul: boolean
}

const BLACKOUTS = 0.3

/** All must be well again within this time after everything was healed. */
const RECOVERY_MS = 90_000

type Fault = 'kill' | 'lag' | 'blink' | 'hang' | 'stop' | 'disk' | Loss | Disturbance
/** More is lost than the process. */
type Loss = 'power' | 'replace'
const DARK: readonly Loss[] = ['power']
type Disturbance = 'cut' | 'cut from' | 'cut to' | 'clog'
const FAULTS: readonly Fault[] = [
  ...(['kill', 'lag', 'lag', 'lag', 'blink', 'hang', 'stop'] as const),
  ...(['disk', 'cut', 'cut from', 'cut to', 'clog'] as const),
]

export class Nemesis {
  readonly #cluster: SimCluster
  readonly #random: SimRandom
  readonly #options: NemesisOptions
  readonly counts = new Map<string, number>()
  /** A machine is an empty one since all was well. */
  #isReplaced = false

  constructor(cluster: SimCluster, random: SimRandom, options: NemesisOptions) {
    this.#cluster = cluster
    this.#random = random
    this.#options = options
  }

  async run(): Promise<void> {
    const { rounds, profile, withConsul } = this.#options
    for (let round = 0; round < rounds; round++) {
      const random = this.#random
      // What only just seems well is hit at once.
      await this.#cluster.wait(random.chance(0.5) ? random.int(100) : random.int(3_000))
      if (withConsul && random.chance(0.6)) this.#troubleConsul()
      this.#isReplaced = false
      const others = profile === 'single' ? 1 : 1 + random.int(2)
      const first = this.#victim()
      const faults = [this.#strike(first, this.#losses)]
      if (others > 1) {
        await this.#cluster.wait(random.int(2_000))
        const second = random.pick(this.#cluster.brokerIds.filter((id) => id !== first))
        faults.push(this.#strike(second, this.#mayLosePower ? DARK : []))
      }
      await Promise.all(faults)
      if (this.#mayLosePower && random.chance(BLACKOUTS)) await this.#blackout()
      this.#cluster.heal()
      await this.recovered()
    }
  }

  /** Somebody may have been fenced since all was well, by what the controller could not write until now. */
  get #losses(): readonly Loss[] {
    if (this.#cluster.observer.isWhole) return ['power', 'replace']
    return this.#mayLosePower ? DARK : []
  }

  /** Of those that cannot show that they lost nothing somebody has to choose, when who led last is empty. */
  get #mayLosePower(): boolean {
    return this.#options.profile === 'durable' && !this.#isReplaced
  }

  /** @throws when not all is well in time */
  async recovered(): Promise<void> {
    const { observer } = this.#cluster
    if (await this.#cluster.until(() => observer.isWhole, RECOVERY_MS)) return
    const { image } = observer
    const states = [...(image?.topics.values() ?? [])].flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, leader, isr, replicas, addingReplicas }) =>
        isr.length < replicas.length || addingReplicas.length > 0
          ? `${name}-${partitionIndex} leader ${leader} isr ${isr} of ${replicas}`
          : '',
      ),
    )
    const live = [...(image?.brokers.values() ?? [])].filter(({ fenced }) => !fenced)
    const brokers = `brokers ${live.map(({ brokerId }) => brokerId)} take part`
    throw new Error(
      `not well again: ${brokers}; ${states.filter((state) => state !== '').join('; ')}`,
    )
  }

  /** Who does most is hit most. */
  #victim(): number {
    const { observer, brokerIds } = this.#cluster
    const controller = observer.activeController
    if (controller !== undefined && this.#random.chance(0.3)) return controller
    return this.#random.pick(brokerIds)
  }

  /** Resolves when it is over, or stays so until all is healed. */
  async #strike(id: number, losses: readonly Loss[]): Promise<void> {
    const cluster = this.#cluster
    const random = this.#random
    const fault = random.pick([...FAULTS, ...losses])
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1)
    // Some are short enough that nobody notices, others last beyond every session.
    const lastsMs = random.chance(0.5) ? random.int(2_500) : 2_000 + random.int(10_000)
    switch (fault) {
      case 'kill':
        cluster.kill(id)
        break
      case 'lag':
        // Shorter than what puts a follower out of the ISR.
        this.#disturb(id, 'clog')
        await cluster.wait(random.int(1_500))
        cluster.kill(id)
        break
      case 'blink':
        cluster.kill(id)
        await cluster.wait(random.int(200))
        cluster.start(id)
        break
      case 'power':
        cluster.losePower(id)
        break
      case 'replace':
        this.#isReplaced = true
        cluster.replace(id)
        break
      case 'hang':
        cluster.pause(id)
        break
      case 'stop':
        await Promise.race([cluster.stop(id), cluster.wait(15_000)])
        break
      case 'disk':
        await this.#failDisk(id)
        break
      default:
        this.#disturb(id, fault)
    }
    await cluster.wait(lastsMs)
  }

  #disturb(id: number, fault: Disturbance): void {
    const { net, brokerIds, consul } = this.#cluster
    const random = this.#random
    const host = nameOf(id)
    const others = brokerIds.filter((each) => each !== id)
    // From all others, or from one.
    const from = random.chance(0.6) ? others : [random.pick(others)]
    this.#cluster.tell(`broker ${id}: ${fault} ${from}`)
    for (const other of from) {
      if (fault === 'cut' || fault === 'cut from') net.cut(host, nameOf(other))
      if (fault === 'cut' || fault === 'cut to') net.cut(nameOf(other), host)
      if (fault === 'clog') {
        net.link(host, nameOf(other)).latencyMs = 50 + random.int(1_500)
        net.link(nameOf(other), host).latencyMs = 50 + random.int(1_500)
      }
    }
    if (fault === 'cut' && random.chance(0.4)) {
      this.#cluster.tell(`broker ${id} is cut from Consul`)
      consul.cut(host)
    }
  }

  /** Flushes of one folder fail, or there is no room in it; after a while the disk is mended, and the broker restarted. */
  async #failDisk(id: number): Promise<void> {
    const cluster = this.#cluster
    const random = this.#random
    const { disk } = cluster.host(id)
    const folders = cluster.dataDirs.flatMap((path) =>
      disk.listSync(path).flatMap(({ name, isFolder }) => (isFolder ? `${path}/${name}/` : [])),
    )
    const folder = random.pick(folders)
    const isFull = random.chance(0.5)
    const failing = isFull ? 'write' : 'flush'
    cluster.tell(`broker ${id}: each ${failing} in ${folder} fails`)
    let hasFailed = false
    disk.fault = (call, path) => {
      if (call !== failing || !path.startsWith(folder)) return undefined
      hasFailed = true
      return diskError(isFull ? 'ENOSPC' : 'EIO', path)
    }
    await cluster.wait(random.int(4_000))
    disk.fault = () => undefined
    if (!hasFailed) return
    cluster.kill(id)
    cluster.start(id)
  }

  /** Everybody loses power. */
  async #blackout(): Promise<void> {
    for (const id of this.#cluster.brokerIds) this.#cluster.losePower(id)
    await this.#cluster.wait(this.#random.int(3_000))
  }

  #troubleConsul(): void {
    const { consul } = this.#cluster
    const random = this.#random
    const kind = random.pick(['answers', 'leader', 'outage', 'sessions', 'late'] as const)
    this.#cluster.tell(`Consul: ${kind}`)
    this.counts.set(`Consul ${kind}`, (this.counts.get(`Consul ${kind}`) ?? 0) + 1)
    if (kind === 'answers') {
      consul.trouble = { busy: 0.05, failed: 0.1, lost: 0.15, late: 0.1, slow: 0.05 }
    } else if (kind === 'late') {
      consul.trouble = { busy: 0, failed: 0, lost: 0.05, late: 0.4, slow: 0 }
    } else if (kind === 'leader') consul.loseLeader()
    else if (kind === 'sessions') consul.destroySessions()
    else consul.setOut(true)
  }
}
