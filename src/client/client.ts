/**
 * A Kafka client's view of a cluster: where its brokers are, who leads what, which broker coordinates a group. Keeps one
 * connection to each broker that is needed. Retries what the cluster calls passing, until a deadline.
 */
import { LmqError } from '../base/errors.ts'
import type { Io, Random } from '../io/io.ts'
import { metadata } from '../protocol/apis/03-metadata.ts'
import { findCoordinator } from '../protocol/apis/10-find-coordinator.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { Api, Fields, RequestInput, ResponseOf, ValuesOf } from '../protocol/schema.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import {
  type Address,
  Connection,
  type ConnectionOptions,
  defaultConnectionOptions,
  type Request,
  type RequestOptions,
} from './connection.ts'
import { checkOutcome, isRetriable, OutcomeError } from './outcome-error.ts'

export type ClientOptions = Partial<ConnectionOptions> & {
  readonly bootstrap: readonly Address[]
  /** How long what passes is tried again. */
  readonly retryForMs?: number
  /** Told each time something is tried again. */
  readonly onRetry?: (error: Error) => void
}

export type Metadata = ResponseOf<typeof metadata>
export type TopicMetadata = Metadata['topics'][number]
export type BrokerMetadata = Metadata['brokers'][number]

/** Which broker a request goes to. */
export type Target =
  | 'any'
  /** Not the same one each time. */
  | 'random'
  | 'controller'
  | { readonly brokerId: number }
  | { readonly group: string }

type Purpose = 'data' | 'coordinator'

const firstPauseMs = 50
const longestPauseMs = 1_000
/** Metadata up to here names topics; later versions would serve as well. */
const metadataVersion = 12

function metadataRequest(
  topics: readonly string[] | null,
  create: boolean,
): RequestInput<typeof metadata> {
  return {
    topics: topics?.map((name) => ({ name, topicId: ZERO_UUID })) ?? null,
    allowAutoTopicCreation: create,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  }
}

export class Client {
  readonly io: Io
  /** What another client for the same cluster is made with. */
  readonly options: ConnectionOptions & { readonly bootstrap: readonly Address[] }
  /** How long what passes is tried again. */
  readonly retryForMs: number
  readonly #onRetry: (error: Error) => void
  readonly #connections = new Map<string, Promise<Connection>>()
  readonly #brokers = new Map<number, Address>()
  readonly #coordinators = new Map<string, number>()
  #controllerId = -1
  #closed = false

  constructor(io: Io, options: ClientOptions) {
    this.io = io
    this.options = {
      bootstrap: options.bootstrap,
      clientId: options.clientId ?? defaultConnectionOptions.clientId,
      connectTimeoutMs: options.connectTimeoutMs ?? defaultConnectionOptions.connectTimeoutMs,
      requestTimeoutMs: options.requestTimeoutMs ?? defaultConnectionOptions.requestTimeoutMs,
      maxInFlight: options.maxInFlight ?? defaultConnectionOptions.maxInFlight,
    }
    this.retryForMs = options.retryForMs ?? 30_000
    this.#onRetry = options.onRetry ?? (() => {})
  }

  /**
   * Asks about topics; null asks about all of them. The answers' own error codes are left to the caller.
   *
   * @param anew what was told before was wrong: who told it may be cut off from the cluster, and go on telling it
   */
  async metadata(
    topics: readonly string[] | null,
    { create = false, anew = false }: { create?: boolean; anew?: boolean } = {},
  ): Promise<Metadata> {
    const target = anew ? 'random' : 'any'
    const answer = await this.request(target, metadata, metadataRequest(topics, create), {
      maxVersion: metadataVersion,
    })
    this.learn(answer)
    return answer
  }

  /**
   * Sends a request to the right broker. What a broken connection or a moved coordinator fails is tried again with a
   * growing pause; error codes inside the answer are the caller's.
   */
  async request<Q extends Fields, S extends Fields>(
    target: Target,
    api: Api<Q, S>,
    request: Request<Q>,
    options: RequestOptions = {},
  ): Promise<ValuesOf<S>> {
    const forget = (): void => {
      if (typeof target === 'object' && 'group' in target) this.forgetCoordinator(target.group)
    }
    const attempt = async (): Promise<ValuesOf<S>> => {
      const connection = await this.connectionTo(target)
      return connection.request(api, request, options)
    }
    return this.retrying(attempt, { forget })
  }

  /**
   * Runs `attempt` until it succeeds, fails for good, or time is up; then throws its last error.
   *
   * @param forget called before each further attempt, for what was learnt wrongly
   */
  async retrying<T>(
    attempt: () => Promise<T>,
    { forMs = this.retryForMs, forget }: { forMs?: number; forget?: () => void } = {},
  ): Promise<T> {
    const deadlineMs = this.io.monotonic.nowMs() + forMs
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        return await attempt()
      } catch (error) {
        const isLate = this.io.monotonic.nowMs() + pauseMs > deadlineMs
        if (this.#closed || isLate || !isRetriable(error)) throw error
        this.#onRetry(error as Error)
        forget?.()
        await this.pause(pauseMs)
      }
    }
  }

  pause(forMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.io.timers.schedule(forMs, resolve)
    })
  }

  async connectionTo(target: Target): Promise<Connection> {
    if (target === 'any') return this.#anyConnection()
    if (target === 'random') return this.#anyConnection(this.io.random)
    if (target === 'controller') return this.#controllerConnection()
    if ('brokerId' in target) return this.#brokerConnection(target.brokerId)
    return this.#brokerConnection(await this.#coordinatorOf(target.group), 'coordinator')
  }

  /** What was learnt of a group's coordinator is no longer so. */
  forgetCoordinator(group: string): void {
    this.#coordinators.delete(group)
  }

  /** Closes all connections; what waits for an answer fails. */
  close(): void {
    this.#closed = true
    for (const opening of this.#connections.values()) {
      opening.then(
        (connection) => connection.close(),
        () => {},
      )
    }
    this.#connections.clear()
  }

  /**
   * Brokers answer in order: what waits for a group must not hold back produce and fetch, so coordinators get a
   * connection of their own. Members of one group that shared a client would still hold back each other.
   */
  async #open(address: Address, purpose: Purpose = 'data'): Promise<Connection> {
    if (this.#closed) {
      throw new LmqError('LMQ_SHUTTING_DOWN', { address: `${address.host}:${address.port}` })
    }
    const key = `${purpose} ${address.host}:${address.port}`
    const known = this.#connections.get(key)
    if (known) {
      const connection = await known.catch(() => undefined)
      if (connection && !connection.isClosed) return connection
      if (this.#connections.get(key) === known) this.#connections.delete(key)
      const other = this.#connections.get(key)
      if (other) return other
    }
    const opening = Connection.open(this.io, address, this.options)
    this.#connections.set(key, opening)
    opening.catch(() => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key)
    })
    return opening
  }

  /** The first of the known brokers and bootstrap addresses that answers, from the first one or from any one on. */
  async #anyConnection(random?: Random): Promise<Connection> {
    const known = [...this.options.bootstrap, ...this.#brokers.values()]
    const start = random?.int(known.length) ?? 0
    let failure: unknown
    for (const address of [...known.slice(start), ...known.slice(0, start)]) {
      try {
        return await this.#open(address)
      } catch (error) {
        failure ??= error
      }
    }
    throw failure ?? new LmqError('LMQ_CONNECTION_CLOSED', { address: 'none given' })
  }

  async #learnBrokers(): Promise<void> {
    const connection = await this.#anyConnection()
    const answer = await connection.request(metadata, metadataRequest([], false), {
      maxVersion: metadataVersion,
    })
    this.learn(answer)
  }

  /** Takes over where the brokers are. */
  learn(answer: Metadata): void {
    this.#brokers.clear()
    for (const { nodeId, host, port } of answer.brokers) this.#brokers.set(nodeId, { host, port })
    this.#controllerId = answer.controllerId
  }

  async #brokerConnection(brokerId: number, purpose?: Purpose): Promise<Connection> {
    let address = this.#brokers.get(brokerId)
    if (!address) {
      await this.#learnBrokers()
      address = this.#brokers.get(brokerId)
    }
    if (!address) throw new OutcomeError(ErrorCode.LEADER_NOT_AVAILABLE, `broker ${brokerId}`)
    try {
      return await this.#open(address, purpose)
    } catch (error) {
      // A broker that moved is found at its new address next time.
      this.#brokers.delete(brokerId)
      throw error
    }
  }

  /** With KRaft every broker takes the controller's requests and forwards them. */
  async #controllerConnection(): Promise<Connection> {
    if (!this.#brokers.has(this.#controllerId)) await this.#learnBrokers()
    if (!this.#brokers.has(this.#controllerId)) return this.#anyConnection()
    return this.#brokerConnection(this.#controllerId)
  }

  async #coordinatorOf(group: string): Promise<number> {
    const known = this.#coordinators.get(group)
    if (known !== undefined) return known
    const connection = await this.#anyConnection()
    const answer = await connection.request(findCoordinator, (version) => ({
      key: version < 4 ? group : '',
      keyType: 0,
      coordinatorKeys: version < 4 ? [] : [group],
    }))
    const [first] = answer.coordinators
    const found = first ?? answer
    checkOutcome(found.errorCode, `coordinator of group ${group}`, found.errorMessage)
    this.#brokers.set(found.nodeId, { host: found.host, port: found.port })
    this.#coordinators.set(group, found.nodeId)
    return found.nodeId
  }
}

/** `host:port,host:port`; a port may be left out. @throws LMQ_CONFIG_INVALID */
export function parseBootstrap(text: string): Address[] {
  const addresses = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part): Address => {
      const match = /^(?:[A-Za-z_]+:\/\/)?(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(part)
      const port = Number(match?.[3] ?? 9092)
      if (!match || port < 1 || port > 65_535) {
        const reason = 'write host:port, with an IPv6 address in brackets'
        throw new LmqError('LMQ_CONFIG_INVALID', { key: 'bootstrap', value: part, reason })
      }
      return { host: match[1] ?? match[2] ?? '', port }
    })
  if (addresses.length === 0) {
    const reason = 'write host:port'
    throw new LmqError('LMQ_CONFIG_INVALID', { key: 'bootstrap', value: text, reason })
  }
  return addresses
}
