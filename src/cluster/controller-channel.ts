/**
 * The way to the active controller, whichever broker that is: this broker itself by a direct call, another one over its
 * inter-broker listener. Knows who the controller is from the store's news.
 */
import { LmqError } from '../base/errors.ts'
import type { Io, Timer } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { Api, Fields, InputsOf, ValuesOf } from '../protocol/schema.ts'
import type { MetadataStore, Watch } from './metadata-store.ts'
import { isRefusal, type Peers } from './peers.ts'

export type KnownController = { readonly controllerId: number; readonly controllerEpoch: number }

export type ControllerChannelOptions = {
  readonly io: Io
  readonly brokerId: number
  readonly store: Pick<MetadataStore, 'head' | 'watch'>
  readonly peers: Pick<Peers, 'connection'>
  /** Whether this broker is the active controller now. */
  readonly isActive: () => boolean
  /** Has this broker serve a request of its own, as the active controller. */
  readonly local: <Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: InputsOf<Q>,
  ) => Promise<ValuesOf<S>>
}

export type CallOptions = {
  /** How long the call is tried in all. */
  readonly deadlineMs: number
  /** Calls of one lane share a connection and wait for one another. Default: by API. */
  readonly lane?: string
  /** The call may have its effect twice without harm: it is sent again after a connection broke. Default: true. */
  readonly repeatable?: boolean
}

const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 200

const nobody: KnownController = { controllerId: -1, controllerEpoch: 0 }

type WithErrorCode = { readonly errorCode?: ErrorCode }

export class ControllerChannel {
  readonly #options: ControllerChannelOptions
  #known: KnownController = nobody
  #watch: Watch | undefined
  #looking: Promise<void> | undefined
  #isStale = false
  /** Ends the waiting of calls that may be sent again. */
  readonly #waiting = new Set<() => void>()
  readonly #pauses = new Set<{ timer: Timer; end: () => void }>()
  #onRefused: ((controller: KnownController) => void) | undefined
  #closed = false

  constructor(options: ControllerChannelOptions) {
    this.#options = options
  }

  /** Follows the store's news of who leads. */
  start(): void {
    this.#watch = this.#options.store.watch(() => this.#look())
    this.#look()
  }

  get known(): KnownController {
    return this.#known
  }

  /** `listener` is told when the known controller's port refuses a connection. */
  onRefused(listener: (controller: KnownController) => void): void {
    this.#onRefused = listener
  }

  /**
   * Asks the active controller. While none is known, or the one that is known is it no longer or does not answer, the
   * call waits and tries again.
   *
   * @throws LMQ_NOT_CONTROLLER when no controller was found in time, else what the last attempt failed with
   */
  async call<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: InputsOf<Q>,
    options: CallOptions,
  ): Promise<ValuesOf<S>> {
    const { monotonic } = this.#options.io
    const endMs = monotonic.nowMs() + options.deadlineMs
    let failure: unknown
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
      const leftMs = endMs - monotonic.nowMs()
      if (this.#closed) throw new LmqError('LMQ_SHUTTING_DOWN', {})
      if (leftMs <= 0) throw failure ?? new LmqError('LMQ_NOT_CONTROLLER', { api: api.name })
      try {
        const answer = await this.#attempt(api, request, options, leftMs)
        if (answer && (answer as WithErrorCode).errorCode !== ErrorCode.NOT_CONTROLLER)
          return answer
        failure = undefined
      } catch (error) {
        if (!(error instanceof LmqError)) throw error
        if (options.repeatable === false && wasSent(error)) throw error
        failure = error
      }
      this.#look()
      await this.#pause(Math.min(pauseMs, Math.max(1, endMs - monotonic.nowMs())))
    }
  }

  close(): void {
    this.#closed = true
    this.#watch?.stop()
    for (const { timer, end } of this.#pauses) {
      timer.cancel()
      end()
    }
    this.#pauses.clear()
  }

  /** @returns undefined while there is nobody to ask */
  async #attempt<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: InputsOf<Q>,
    { lane = api.name, repeatable = true }: CallOptions,
    timeoutMs: number,
  ): Promise<ValuesOf<S> | undefined> {
    const { brokerId, isActive, local, peers } = this.#options
    if (isActive()) return local(api, request)
    const known = this.#known
    if (known.controllerId < 0 || known.controllerId === brokerId) return undefined
    let connection: Awaited<ReturnType<typeof peers.connection>>
    try {
      connection = await peers.connection(known.controllerId, lane)
    } catch (error) {
      if (isRefusal(error)) this.#onRefused?.(known)
      throw new NotSent(error)
    }
    const answer = connection.request(api, request, { timeoutMs })
    return repeatable ? this.#unlessReplaced(answer) : answer
  }

  /** Of one that leads no longer nobody waits for an answer: its machine may be gone without a word. */
  #unlessReplaced<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
    return new Promise((resolve, reject) => {
      const give = () => resolve(undefined)
      this.#waiting.add(give)
      answer.then(resolve, reject).finally(() => this.#waiting.delete(give))
    })
  }

  /** Asks the store who leads; once more when news comes meanwhile. */
  #look(): void {
    if (this.#closed) return
    this.#isStale = true
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined
    })
  }

  async #lookOnce(): Promise<void> {
    while (this.#isStale && !this.#closed) {
      this.#isStale = false
      try {
        const { controllerId, controllerEpoch } = await this.#options.store.head()
        const isNew = controllerId !== this.#known.controllerId
        this.#known = { controllerId, controllerEpoch }
        if (!isNew) continue
        for (const { end } of [...this.#pauses]) end()
        if (controllerId >= 0) for (const give of [...this.#waiting]) give()
      } catch {
        // The store does not answer: who led last is asked.
        return
      }
    }
  }

  /** Ends early when somebody else leads. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const pause = {
        timer: this.#options.io.timers.schedule(ms, () => pause.end()),
        end: () => {
          pause.timer.cancel()
          this.#pauses.delete(pause)
          resolve()
        },
      }
      this.#pauses.add(pause)
    })
  }
}

/** Nothing was sent: there was no connection. */
class NotSent extends LmqError {
  constructor(cause: unknown) {
    super('LMQ_CONNECTION_CLOSED', { to: 'controller' }, cause)
  }
}

const wasSent = (error: LmqError): boolean => !(error instanceof NotSent)
