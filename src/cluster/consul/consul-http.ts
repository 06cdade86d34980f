/**
 * The port to real Consul agents, over the npm package `consul`: the only file here that opens sockets. Load it when it
 * is needed only: the package costs a broker's start more than all of LMQ.
 *
 * What the package leaves to its user, and is done here: one client per address, a deadline for every call, base64 in
 * transactions, the lock delay as text (it drops the number 0), and telling "refused" from "nobody knows".
 */
import { EventEmitter } from 'node:events'
import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import Consul from 'consul'
import {
  type ConsulAnswer,
  ConsulFailure,
  type ConsulFailureKind,
  type ConsulOperation,
  type ConsulPair,
  type ConsulPort,
  type ConsulService,
  type ConsulServiceInstance,
  type ConsulSession,
  type GetOptions,
  type TransactionAnswer,
} from './consul-port.ts'

export type ConsulHttpOptions = {
  /** Tried in turn; the first one first. */
  readonly addresses: readonly ConsulAddress[]
  readonly token: string | undefined
  readonly tls: ConsulTls | undefined
  /** Bound on every call; a blocking query has its waiting time on top. */
  readonly timeoutMs: number
}

export type ConsulAddress = {
  readonly host: string
  readonly port: number
  readonly secure: boolean
}

/** PEM texts. */
export type ConsulTls = {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Whether the agent must prove who it is. */
  readonly verify: boolean
}

/** Consul cuts the 201st connection of a client address. */
const MAX_SOCKETS = 16
const checkOf = (serviceId: string) => `service:${serviceId}`

type Options = Readonly<Record<string, unknown>>
/** The package's calls, typed by what is used of them: its own declarations leave out most options. */
type Client = {
  readonly kv: { get(options: Options): Promise<unknown>; keys(options: Options): Promise<unknown> }
  readonly transaction: { create(operations: unknown, options: Options): Promise<unknown> }
  readonly session: Record<'create' | 'renew' | 'destroy', (options: Options) => Promise<unknown>>
  readonly agent: {
    readonly service: Record<'register' | 'deregister', (options: Options) => Promise<unknown>>
    readonly check: { pass(options: Options): Promise<unknown> }
  }
  readonly health: { service(options: Options): Promise<unknown> }
  destroy(): void
}

type Response = { readonly headers: Readonly<Record<string, string>>; readonly body?: unknown }
/** What the package throws for an answer that is no success. */
type ResponseError = Error & { readonly statusCode?: number; readonly response?: Response }

type RawPair = {
  readonly Key: string
  readonly Value: Buffer | null
  readonly ModifyIndex: number
  readonly Session?: string
}

export class ConsulHttp implements ConsulPort {
  readonly #clients: readonly Client[]
  readonly #token: string | undefined
  readonly #timeoutMs: number
  readonly #underWay = new Set<EventEmitter>()
  #current = 0
  /** The agent that has this broker's service, and those that may still have it from before. */
  #serviceAgent = 0
  readonly #formerAgents = new Set<number>()
  #closed = false

  constructor({ addresses, token, tls, timeoutMs }: ConsulHttpOptions) {
    this.#token = token
    this.#timeoutMs = timeoutMs
    this.#clients = addresses.map(({ host, port, secure }) => {
      const around = { keepAlive: true, maxSockets: MAX_SOCKETS }
      const identity = { ca: tls?.ca, cert: tls?.cert, key: tls?.key }
      const agent = secure
        ? new TlsAgent({ ...around, ...identity, rejectUnauthorized: tls?.verify ?? true })
        : new Agent(around)
      return new Consul({ host, port, secure, agent }) as unknown as Client
    })
  }

  async get(key: string, options: GetOptions): Promise<ConsulAnswer> {
    const { consistent, waitIndex, waitMs = 0 } = options
    const blocking = waitIndex !== undefined && waitIndex > 0
    // Consul adds up to a sixteenth to the time that was asked for.
    const deadlineMs = this.#timeoutMs + (blocking ? waitMs * (1 + 1 / 16) : 0)
    const waiting = blocking ? { index: String(waitIndex), wait: `${waitMs}ms` } : {}
    const [response, pair] = (await this.#call(deadlineMs, (client, around) =>
      client.kv.get({
        key,
        buffer: true,
        ...(consistent && { consistent }),
        ...waiting,
        ...around,
      }),
    )) as [Response, RawPair | undefined]
    const index = Number(response.headers['x-consul-index'])
    return { index: Number.isSafeInteger(index) ? index : 0, pair: pair && pairOf(pair) }
  }

  async list(prefix: string): Promise<readonly ConsulPair[]> {
    const [, pairs] = (await this.#call(this.#timeoutMs * 4, (client, around) =>
      client.kv.get({ key: prefix, recurse: true, buffer: true, consistent: true, ...around }),
    )) as [Response, readonly RawPair[] | undefined]
    return (pairs ?? []).map(pairOf)
  }

  async keys(prefix: string, separator?: string): Promise<readonly string[]> {
    const cut = separator === undefined ? {} : { separator }
    const answer = await this.#call(
      this.#timeoutMs,
      (client, around) => client.kv.keys({ key: prefix, consistent: true, ...cut, ...around }),
      (error) => (error.statusCode === 404 ? [undefined, []] : undefined),
    )
    return answer[1] as readonly string[]
  }

  async transaction(operations: readonly ConsulOperation[]): Promise<TransactionAnswer> {
    const body = operations.map((operation) => ({ KV: rawOperation(operation) }))
    const answer = await this.#call(
      this.#timeoutMs,
      (client, around) => client.transaction.create(body, around),
      (error) => (error.statusCode === 409 ? [undefined, error.response?.body] : undefined),
    )
    const { Results, Errors } = answer[1] as {
      Results?: { KV?: { Key: string; ModifyIndex: number } }[] | null
      Errors?: { What: string }[] | null
    }
    if (Errors && Errors.length > 0) {
      const why = Errors.map(({ What }) => What).join('; ')
      if (/permission denied/i.test(why)) throw new ConsulFailure('denied', why)
      return { committed: false, why }
    }
    const modifyIndexes = new Map<string, number>()
    for (const { KV } of Results ?? []) if (KV) modifyIndexes.set(KV.Key, KV.ModifyIndex)
    return { committed: true, modifyIndexes }
  }

  async createSession({ name, ttlMs }: ConsulSession): Promise<string> {
    const session = {
      name,
      ttl: `${ttlMs}ms`,
      checks: [],
      lockdelay: '0s',
      behavior: 'release',
    }
    const answer = await this.#call(this.#timeoutMs, (client, around) =>
      client.session.create({ ...session, ...around }),
    )
    return (answer[1] as { ID: string }).ID
  }

  async renewSession(sessionId: string): Promise<boolean> {
    const answer = await this.#call(
      this.#timeoutMs,
      (client, around) => client.session.renew({ id: sessionId, ...around }),
      (error) => (error.statusCode === 404 ? [undefined, undefined] : undefined),
    )
    return answer[1] !== undefined
  }

  async destroySession(sessionId: string): Promise<void> {
    await this.#call(this.#timeoutMs, (client, around) =>
      client.session.destroy({ id: sessionId, ...around }),
    )
  }

  /** A broker whose agent is gone moves to the next one, and away from the former when that is back. */
  async registerService(service: ConsulService): Promise<void> {
    const { id, name, address, port, tags, meta, checkTtlMs, forgetAfterMs } = service
    const check = {
      name: 'event loop of the broker',
      ttl: `${checkTtlMs}ms`,
      status: 'passing',
      deregistercriticalserviceafter: `${forgetAfterMs}ms`,
    }
    const facts = { id, name, address, port, tags, meta, check }
    await this.#callFrom(this.#serviceAgent, this.#timeoutMs, (client, around, at) => {
      if (at !== this.#serviceAgent) this.#formerAgents.add(this.#serviceAgent)
      this.#serviceAgent = at
      this.#formerAgents.delete(at)
      return client.agent.service.register({ ...facts, ...around })
    }).catch((error: unknown) => {
      this.#formerAgents.add(this.#serviceAgent)
      this.#serviceAgent = (this.#serviceAgent + 1) % this.#clients.length
      throw error
    })
  }

  async deregisterService(serviceId: string): Promise<void> {
    const agents = new Set([this.#serviceAgent, ...this.#formerAgents])
    await Promise.allSettled([...agents].map((at) => this.#deregisterAt(serviceId, at)))
  }

  async passCheck(serviceId: string, note: string): Promise<boolean> {
    for (const at of this.#formerAgents) {
      if (at !== this.#serviceAgent) void this.#deregisterAt(serviceId, at).catch(() => {})
    }
    const unknownCheck = (error: ResponseError) =>
      error.statusCode === 404 || /TTL|unknown check/i.test(textOf(error))
        ? ([undefined, false] as const)
        : undefined
    const answer = await this.#callAt(
      this.#serviceAgent,
      this.#timeoutMs,
      (client, around) => client.agent.check.pass({ id: checkOf(serviceId), note, ...around }),
      unknownCheck,
    )
    return answer[1] !== false
  }

  async serviceInstances(name: string): Promise<readonly ConsulServiceInstance[]> {
    const answer = await this.#call(this.#timeoutMs, (client, around) =>
      client.health.service({ service: name, ...around }),
    )
    type Raw = {
      readonly Node: { readonly Address: string }
      readonly Service: {
        readonly ID: string
        readonly Address: string
        readonly Port: number
        readonly Meta: Record<string, string> | null
      }
      readonly Checks: readonly { readonly Status: string }[]
    }
    return (answer[1] as readonly Raw[]).map(({ Node, Service, Checks }) => ({
      id: Service.ID,
      address: Service.Address || Node.Address,
      port: Service.Port,
      meta: Service.Meta ?? {},
      passing: Checks.every(({ Status }) => Status === 'passing'),
    }))
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const call of [...this.#underWay]) call.emit('cancel')
    for (const client of this.#clients) client.destroy()
  }

  async #deregisterAt(serviceId: string, at: number): Promise<void> {
    await this.#callAt(
      at,
      this.#timeoutMs,
      (client, around) => client.agent.service.deregister({ id: serviceId, ...around }),
      // Unknown there: it need not be deregistered.
      (error) => (isAnswer(error) && error.statusCode !== 403 ? [undefined, undefined] : undefined),
    )
    this.#formerAgents.delete(at)
  }

  /**
   * Calls the address that served last. One that refuses the connection has not seen the call, so the next one is
   * asked at once; any other failure is told, and the next call begins at the next address.
   *
   * @param expected an answer for an error that is none
   * @returns the response and what the package made of it
   */
  #call(deadlineMs: number, send: Send, expected?: Expected): Promise<Answer> {
    return this.#callFrom(this.#current, deadlineMs, send, expected, (at) => {
      this.#current = at
    })
  }

  async #callFrom(
    first: number,
    deadlineMs: number,
    send: Send,
    expected?: Expected,
    onTurn?: (at: number) => void,
  ): Promise<Answer> {
    const count = this.#clients.length
    for (let turn = 0; ; turn++) {
      const at = (first + turn) % count
      try {
        return await this.#callAt(at, deadlineMs, send, expected)
      } catch (error) {
        if (!(error instanceof ConsulFailure) || this.#closed) throw error
        if (error.kind === 'denied' || error.kind === 'invalid') throw error
        onTurn?.((at + 1) % count)
        if (error.kind === 'unknown' || turn + 1 >= count) throw error
      }
    }
  }

  async #callAt(at: number, deadlineMs: number, send: Send, expected?: Expected): Promise<Answer> {
    const client = this.#clients[at]
    if (this.#closed || !client) throw new ConsulFailure('unreachable', 'closed')
    const ctx = Object.assign(new EventEmitter(), { includeResponse: true })
    this.#underWay.add(ctx)
    const token = this.#token === undefined ? {} : { token: this.#token }
    try {
      return (await send(client, { ctx, timeout: Math.ceil(deadlineMs), ...token }, at)) as Answer
    } catch (error) {
      const answer = expected?.(error as ResponseError)
      if (answer) return answer
      throw failureOf(error as ResponseError)
    } finally {
      this.#underWay.delete(ctx)
    }
  }
}

type Answer = readonly [Response | undefined, unknown?]
type Send = (client: Client, around: Options, at: number) => Promise<unknown>
type Expected = (error: ResponseError) => Answer | undefined

const isAnswer = (error: ResponseError): boolean => error.statusCode !== undefined

function pairOf({ Key, Value, ModifyIndex, Session }: RawPair): ConsulPair {
  const value = Value ?? Buffer.alloc(0)
  return { key: Key, value, modifyIndex: ModifyIndex, sessionId: Session || undefined }
}

function rawOperation(operation: ConsulOperation): Options {
  const { verb, key } = operation
  return {
    Verb: verb,
    Key: key,
    ...('value' in operation && { Value: operation.value.toString('base64') }),
    ...('modifyIndex' in operation && { Index: operation.modifyIndex }),
    ...('sessionId' in operation && { Session: operation.sessionId }),
  }
}

/** No answer came, and the connection was never there. */
const NEVER_SENT = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN'],
  ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  ...['ERR_TLS_CERT_ALTNAME_INVALID', 'EPROTO'],
])

function failureOf(error: ResponseError): ConsulFailure {
  return new ConsulFailure(kindOf(error), textOf(error), error)
}

function kindOf(error: ResponseError): ConsulFailureKind {
  const { statusCode } = error
  if (statusCode === undefined) {
    const { code, errors } = error as { code?: string; errors?: readonly { code?: string }[] }
    // A name with several addresses fails with all their reasons.
    const codes = errors?.map((each) => each.code) ?? [code]
    return codes.every((each) => NEVER_SENT.has(each ?? '')) ? 'unreachable' : 'unknown'
  }
  if (statusCode === 403 || statusCode === 401) return 'denied'
  if (statusCode === 429) return 'unreachable'
  return statusCode >= 400 && statusCode < 500 ? 'invalid' : 'unknown'
}

function textOf(error: ResponseError): string {
  const body = error.response?.body
  const answer = typeof body === 'string' ? body : Buffer.isBuffer(body) ? body.toString() : ''
  return answer.trim() === '' ? error.message : answer.trim().slice(0, 300)
}
