import {
  type ConsulAnswer,
  ConsulFailure,
  type ConsulOperation,
  type ConsulPair,
  type ConsulPort,
  type ConsulService,
  type ConsulServiceInstance,
  type GetOptions,
  maxTransactionOperations,
  type TransactionAnswer,
} from '../../src/cluster/consul/consul-port.ts'
import { ConsulState, type SimSession } from './sim-consul-state.ts'
import type { Gate } from './sim-net.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimScheduler } from './sim-scheduler.ts'

/** How often calls go wrong; each from 0 to 1. */
export type ConsulTrouble = {
  /** Answered 429: not done. */
  busy: number
  /** Answered 500, or not at all: not done. */
  failed: number
  /** Done, but the answer does not come. */
  lost: number
  /** The answer does not come, and it is done some seconds later. */
  late: number
  /** Done, and answered after five seconds. */
  slow: number
}

export const noTrouble: ConsulTrouble = { busy: 0, failed: 0, lost: 0, late: 0, slow: 0 }

const REQUEST_TIMEOUT_MS = 1_500
const SLOW_MS = 5_000
const ELECTION_MS = 2_500
/** A body of 512 KiB, in base64. */
const MAX_BODY_BYTES = 512 * 1024
const MAX_VALUE_BYTES = 512 * 1024

type Waiter = { readonly key: string; readonly index: number; wake(): void }
type Frozen = { readonly state: ConsulState; readonly untilMs: number }
type Registered = { readonly service: ConsulService; passedMs: number }

/**
 * A Consul of three servers as a cluster sees it, with what was measured of real ones: sessions end at twice their time
 * to live and begin anew with each leader; a leader's death stops writes for 2.5 s while a deposed one may still answer
 * default reads; what has no answer may have happened, may happen later, or never.
 */
export class SimConsul {
  readonly #scheduler: SimScheduler
  readonly #random: SimRandom
  readonly #waiters = new Set<Waiter>()
  readonly #services = new Map<string, Registered>()
  readonly #cutHosts = new Set<string>()
  #state = new ConsulState()
  #frozen: Frozen | undefined
  #electingUntilMs = 0
  #isOut = false
  trouble: ConsulTrouble = noTrouble
  /** Told of each transaction that was committed. */
  onCommit: (state: ConsulState) => void = () => {}
  calls = 0

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.#scheduler = scheduler
    this.#random = random
  }

  get state(): ConsulState {
    return this.#state
  }

  get #nowMs(): number {
    return this.#scheduler.monotonic.nowMs()
  }

  connect(host = '', gate: Gate = (task) => task()): ConsulPort {
    return new SimConsulPort(this, host, gate)
  }

  // ------------------------------------------------------------------------------------------------ faults

  /** No packet gets through between a host and Consul. */
  cut(host: string): void {
    this.#cutHosts.add(host)
  }

  heal(): void {
    this.#cutHosts.clear()
    this.trouble = noTrouble
  }

  /** The leader dies; another is elected. */
  loseLeader(electionMs = ELECTION_MS): void {
    this.#electingUntilMs = this.#nowMs + electionMs
    // The deposed one believes in itself for a little longer.
    this.#frozen = {
      state: this.#state.copy(),
      untilMs: this.#electingUntilMs + this.#random.int(500),
    }
    this.#scheduler.schedule(electionMs, () => this.#restartSessions())
  }

  /** All servers die, or come back. */
  setOut(isOut: boolean): void {
    if (isOut === this.#isOut) return
    this.#isOut = isOut
    if (isOut) this.#wakeAll()
    else this.loseLeader(1_500)
  }

  destroySessions(): void {
    for (const id of [...this.#state.sessions.keys()]) this.#state.endSession(id)
    this.#wakeAll()
  }

  backup(): ConsulState {
    return this.#state.copy()
  }

  restore(backup: ConsulState): void {
    this.#state = backup.copy()
    this.#restartSessions()
    this.#wakeAll()
  }

  // ------------------------------------------------------------------------------------------------ sessions

  #restartSessions(): void {
    for (const session of this.#state.sessions.values()) this.expireLater(session)
  }

  expireLater(session: SimSession): void {
    session.expiry?.cancel()
    session.expiry = this.#scheduler.schedule(session.ttlMs * 2, () => {
      // Without a leader nobody counts; the next one begins anew.
      if (this.#isOut || this.#electingUntilMs > this.#nowMs) return
      if (this.#state.sessions.get(session.id) !== session) return
      this.#state.endSession(session.id)
      this.#wakeAll()
    })
  }

  newId(): string {
    return this.#random.uuid()
  }

  // ------------------------------------------------------------------------------------------------ calls

  /** @returns the failure that a call to a Consul in this state ends with; undefined when it is served */
  refusal(isStale: boolean): ConsulFailure | undefined {
    if (this.#isOut) return new ConsulFailure('unreachable', 'connection refused')
    if (this.#electingUntilMs > this.#nowMs && !isStale) {
      return new ConsulFailure('unknown', 'No cluster leader')
    }
    return undefined
  }

  /** What a default read sees: the newest state, or what a deposed leader has. */
  readable(isConsistent: boolean): ConsulState {
    const frozen = this.#frozen
    if (!frozen || isConsistent || frozen.untilMs <= this.#nowMs) return this.#state
    return this.#random.chance(0.5) ? frozen.state : this.#state
  }

  /** Carries a call out as a network and servers do. `serve` runs where Consul is, the rest in the caller's process. */
  call<Answer>(
    host: string,
    gate: Gate,
    isStale: boolean,
    serve: () => Answer,
    onSettled: (end: () => void) => void = () => {},
  ): Promise<Answer> {
    this.calls++
    const random = this.#random
    const scheduler = this.#scheduler
    const fate = this.#fate()
    return new Promise<Answer>((resolve, reject) => {
      let isSettled = false
      const end = (settle: () => void) =>
        gate(() => {
          if (isSettled) return
          isSettled = true
          settle()
        })
      const fail = (failure: ConsulFailure) => end(() => reject(failure))
      onSettled(() => fail(new ConsulFailure('unreachable', 'closed')))
      const deadline = scheduler.schedule(REQUEST_TIMEOUT_MS, () =>
        fail(new ConsulFailure('unknown', 'timed out')),
      )
      const serveNow = (afterMs: number, isAnswered: boolean) => {
        const failure = this.refusal(isStale)
        const answer = (settle: () => void) => {
          if (isAnswered && !this.#cutHosts.has(host)) {
            scheduler.schedule(afterMs, () => {
              deadline.cancel()
              end(settle)
            })
          }
        }
        if (failure) {
          answer(() => reject(failure))
          return
        }
        try {
          const result = serve()
          answer(() => resolve(result))
        } catch (error) {
          answer(() => reject(error as Error))
        }
      }
      const wayMs = 0.3 + random.int(2_000) / 1_000
      const backMs = 0.3 + random.int(2_000) / 1_000
      if (this.#cutHosts.has(host)) {
        // Some of what was sent had left already.
        if (random.chance(0.1)) scheduler.schedule(wayMs, () => serveNow(backMs, false))
        return
      }
      switch (fate) {
        case 'busy':
          scheduler.schedule(wayMs, () =>
            fail(new ConsulFailure('unreachable', 'too many requests')),
          )
          return
        case 'failed':
          if (random.chance(0.5)) {
            scheduler.schedule(wayMs, () => fail(new ConsulFailure('unknown', 'status 500')))
          }
          return
        case 'lost':
          scheduler.schedule(wayMs, () => serveNow(backMs, false))
          if (random.chance(0.5)) {
            scheduler.schedule(wayMs + backMs, () =>
              fail(new ConsulFailure('unknown', 'leadership lost while committing log')),
            )
          }
          return
        case 'late':
          scheduler.schedule(200 + random.int(5_000), () => serveNow(backMs, false))
          return
        case 'slow':
          scheduler.schedule(wayMs, () => serveNow(SLOW_MS, true))
          return
        default:
          scheduler.schedule(wayMs, () => serveNow(backMs, true))
      }
    })
  }

  #fate(): keyof ConsulTrouble | 'served' {
    for (const fate of ['busy', 'failed', 'lost', 'late', 'slow'] as const) {
      const probability = this.trouble[fate]
      if (probability > 0 && this.#random.chance(probability)) return fate
    }
    return 'served'
  }

  transact(operations: readonly ConsulOperation[]): TransactionAnswer {
    if (operations.length > maxTransactionOperations) {
      throw new ConsulFailure('invalid', 'too many operations')
    }
    let bytes = 0
    for (const operation of operations) {
      const size = 'value' in operation ? operation.value.length : 0
      if (size > MAX_VALUE_BYTES) throw new ConsulFailure('invalid', 'value too large')
      bytes += 100 + Math.ceil(size / 3) * 4
    }
    if (bytes > MAX_BODY_BYTES) throw new ConsulFailure('invalid', 'body too large')
    const answer = this.#state.transact(operations)
    if (answer.committed) {
      this.#wakeAll()
      this.onCommit(this.#state)
    }
    return answer
  }

  endSession(id: string): void {
    this.#state.endSession(id)
    this.#wakeAll()
  }

  /** Calls `wake` when the key's index is no longer `index`, or after about `waitMs`. */
  wait(key: string, index: number, waitMs: number, wake: () => void): () => void {
    const end = () => {
      this.#waiters.delete(waiter)
      timer.cancel()
    }
    const waiter = {
      key,
      index,
      wake: () => {
        end()
        wake()
      },
    }
    const timer = this.#scheduler.schedule(waitMs + this.#random.int(waitMs / 16 + 1), waiter.wake)
    this.#waiters.add(waiter)
    return end
  }

  #wakeAll(): void {
    for (const waiter of this.#waiters) {
      const { key, index, wake } = waiter
      if (!this.#isOut && this.#state.get(key).index === index) continue
      this.#waiters.delete(waiter)
      this.#scheduler.schedule(0, wake)
    }
  }

  register(service: ConsulService): void {
    this.#services.set(service.id, { service, passedMs: this.#nowMs })
  }

  deregister(serviceId: string): void {
    this.#services.delete(serviceId)
  }

  pass(serviceId: string): boolean {
    const registered = this.#services.get(serviceId)
    if (registered) registered.passedMs = this.#nowMs
    return registered !== undefined
  }

  instances(name: string): ConsulServiceInstance[] {
    const found = [...this.#services.values()].filter(({ service }) => service.name === name)
    return found.map(({ service, passedMs }) => {
      const { id, address, port, meta, checkTtlMs } = service
      return { id, address, port, meta, passing: this.#nowMs - passedMs <= checkTtlMs }
    })
  }

  later(delayMs: number, task: () => void): { cancel(): void } {
    return this.#scheduler.schedule(delayMs, task)
  }
}

/** One process's connection. */
export class SimConsulPort implements ConsulPort {
  readonly #consul: SimConsul
  readonly #host: string
  readonly #gate: Gate
  readonly #underWay = new Set<() => void>()
  #isClosed = false

  constructor(consul: SimConsul, host: string, gate: Gate) {
    this.#consul = consul
    this.#host = host
    this.#gate = gate
  }

  async get(key: string, options: GetOptions): Promise<ConsulAnswer> {
    const { consistent = false, waitIndex = 0, waitMs = 0 } = options
    for (let isFirst = true; ; isFirst = false) {
      const answer = await this.#call(!consistent, () => this.#consul.readable(consistent).get(key))
      if (!isFirst || waitIndex === 0 || answer.index !== waitIndex) return answer
      await this.#waited(key, waitIndex, waitMs)
    }
  }

  /** Until something changed, or the time is over. */
  #waited(key: string, index: number, waitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = this.#consul.wait(key, index, waitMs, () =>
        this.#gate(() => {
          this.#underWay.delete(end)
          resolve()
        }),
      )
      const end = () => {
        stop()
        reject(new ConsulFailure('unreachable', 'closed'))
      }
      this.#underWay.add(end)
    })
  }

  list(prefix: string): Promise<readonly ConsulPair[]> {
    return this.#call(false, () => this.#consul.state.list(prefix))
  }

  keys(prefix: string, separator?: string): Promise<readonly string[]> {
    return this.#call(false, () => {
      const names = this.#consul.state.list(prefix).map(({ key }) => {
        const at = separator === undefined ? -1 : key.indexOf(separator, prefix.length)
        return at < 0 ? key : key.slice(0, at + 1)
      })
      return [...new Set(names)]
    })
  }

  transaction(operations: readonly ConsulOperation[]): Promise<TransactionAnswer> {
    // What was sent is what arrives, whatever the sender does with its memory.
    const sent = operations.map((operation) =>
      'value' in operation ? { ...operation, value: Buffer.from(operation.value) } : operation,
    )
    return this.#call(false, () => this.#consul.transact(sent))
  }

  createSession({ ttlMs }: { readonly ttlMs: number }): Promise<string> {
    return this.#call(false, () => {
      const session: SimSession = { id: this.#consul.newId(), ttlMs, expiry: undefined }
      this.#consul.state.sessions.set(session.id, session)
      this.#consul.expireLater(session)
      return session.id
    })
  }

  renewSession(sessionId: string): Promise<boolean> {
    return this.#call(false, () => {
      const session = this.#consul.state.sessions.get(sessionId)
      if (session) this.#consul.expireLater(session)
      return session !== undefined
    })
  }

  destroySession(sessionId: string): Promise<void> {
    return this.#call(false, () => this.#consul.endSession(sessionId))
  }

  registerService(service: ConsulService): Promise<void> {
    return this.#call(true, () => this.#consul.register(service))
  }

  deregisterService(serviceId: string): Promise<void> {
    return this.#call(true, () => this.#consul.deregister(serviceId))
  }

  passCheck(serviceId: string): Promise<boolean> {
    return this.#call(true, () => this.#consul.pass(serviceId))
  }

  serviceInstances(name: string): Promise<readonly ConsulServiceInstance[]> {
    return this.#call(true, () => this.#consul.instances(name))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const end of [...this.#underWay]) end()
  }

  async #call<Answer>(isStale: boolean, serve: () => Answer): Promise<Answer> {
    if (this.#isClosed) throw new ConsulFailure('unreachable', 'closed')
    let end = () => {}
    try {
      return await this.#consul.call(this.#host, this.#gate, isStale, serve, (stop) => {
        end = stop
        this.#underWay.add(end)
      })
    } finally {
      this.#underWay.delete(end)
    }
  }
}
