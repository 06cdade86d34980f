// Faults of processes, chosen by a seed. Each ends when the process is back, not when all is well again.
import type { ClusterProcesses } from './cluster-processes.ts'

export type FaultName =
  | 'the leader is killed'
  | 'the controller is killed'
  | 'the coordinator is killed'
  | 'a broker hangs'
  | 'the leader of Consul is killed'
  | 'all Consul servers are killed'
  | 'a broker loses its disk and is back at once'
  | 'a rolling restart'

type Aim = { readonly seed: number; readonly topic: string; readonly group: string }

const outageMs = process.env['LMQ_LONG'] === '1' ? 30_000 : 8_000

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export class Faults {
  readonly #cluster: ClusterProcesses
  readonly #aim: Aim
  #state: number

  constructor(cluster: ClusterProcesses, aim: Aim) {
    this.#cluster = cluster
    this.#aim = aim
    this.#state = aim.seed
  }

  readonly single: readonly FaultName[] = [
    'the leader is killed',
    'the controller is killed',
    'the coordinator is killed',
    'a broker hangs',
    'the leader of Consul is killed',
    'all Consul servers are killed',
    'a broker loses its disk and is back at once',
    'a rolling restart',
  ]

  /** From 0 to `below`, exclusive (mulberry32). */
  random(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let x = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) % below
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.random(choices.length)] as T
  }

  shuffled<T>(all: readonly T[]): T[] {
    const rest = [...all]
    const order: T[] = []
    while (rest.length > 0) order.push(...rest.splice(this.random(rest.length), 1))
    return order
  }

  async make(fault: FaultName): Promise<void> {
    const cluster = this.#cluster
    const { topic, group } = this.#aim
    const partitions = await cluster.partitions(topic)
    switch (fault) {
      case 'the leader is killed':
        return this.#killed(this.pick(partitions).leader)
      case 'the controller is killed':
        return this.#killed(await cluster.controller())
      case 'the coordinator is killed':
        return this.#killed(await cluster.coordinatorOf(group))
      case 'a broker hangs':
        return this.#hung(this.pick(cluster.brokerIds))
      case 'the leader of Consul is killed':
        return this.#consulKilled([await cluster.consul.leader()], 2_000 + this.random(3_000))
      case 'all Consul servers are killed':
        return this.#consulKilled([0, 1, 2], outageMs)
      case 'a broker loses its disk and is back at once':
        return this.#wiped(this.pick(partitions).leader)
      case 'a rolling restart':
        return this.rollingRestart()
    }
  }

  /** Two faults of two brokers; the second begins while the first lasts, or the cluster is still mending. */
  overlapping(): { readonly names: string[]; make(): Promise<void> } {
    const [first = 1, second = 2] = this.shuffled(this.#cluster.brokerIds)
    const kinds = { killed: this.#killed, hung: this.#hung, stopped: this.#stopped }
    const choices = Object.keys(kinds) as (keyof typeof kinds)[]
    const [one, two] = [this.pick(choices), this.pick(choices)]
    const [delayMs, restMs] = [this.random(3_000), this.random(3_000)]
    return {
      names: [`broker ${first} is ${one}`, `${delayMs} ms later broker ${second} is ${two}`],
      make: async () => {
        const later = pause(delayMs).then(() => kinds[two].call(this, second))
        await Promise.all([kinds[one].call(this, first), later])
        await pause(restMs)
      },
    }
  }

  async rollingRestart(): Promise<void> {
    for (const id of this.#cluster.brokerIds) {
      await this.#cluster.shutDown(id)
      await this.#cluster.start(id)
      await this.#cluster.healed()
    }
  }

  async #killed(id: number): Promise<void> {
    await this.#cluster.kill(id)
    await pause(this.random(5_000))
    await this.#cluster.start(id)
  }

  async #stopped(id: number): Promise<void> {
    await this.#cluster.shutDown(id)
    await pause(this.random(2_000))
    await this.#cluster.start(id)
  }

  async #hung(id: number): Promise<void> {
    this.#cluster.pause(id)
    await pause(1_000 + this.random(5_000))
    this.#cluster.resume(id)
  }

  async #wiped(id: number): Promise<void> {
    await this.#cluster.kill(id)
    this.#cluster.wipe(id)
    await this.#cluster.start(id)
  }

  async #consulKilled(servers: readonly number[], ms: number): Promise<void> {
    const { consul } = this.#cluster
    await Promise.all(servers.map((at) => consul.kill(at)))
    await pause(ms)
    await Promise.all(servers.map((at) => consul.start(at)))
    await consul.ready()
  }
}
