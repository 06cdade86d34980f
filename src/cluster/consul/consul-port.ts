/**
 * What the cluster asks of Consul, and nothing else of it. `consul-http.ts` speaks to real agents; the simulator has one
 * of its own. Every call ends: by an answer, or by a `ConsulFailure` when its deadline has passed.
 *
 * Several addresses are the port's own business: a call that fails turns it to the next one. A port never repeats a
 * call whose outcome is unknown; that is for the caller, who knows what a second time would mean.
 */
export type ConsulPort = {
  /**
   * One key.
   *
   * With `waitIndex` (above 0) a blocking query: it answers when the key changed after that index, or after `waitMs`
   * with what is there. Consul's rules hold: an index that went back means that the caller starts again without one.
   */
  get(key: string, options: GetOptions): Promise<ConsulAnswer>

  /** All keys that start with `prefix`, with their values, in the order of their names. Never stale. */
  list(prefix: string): Promise<readonly ConsulPair[]>

  /** Names only. With `separator` each name is cut behind its first one after the prefix, as Consul does. */
  keys(prefix: string, separator?: string): Promise<readonly string[]>

  /**
   * All operations or none; at most `maxTransactionOperations`, their values together at most `maxTransactionBytes`.
   *
   * @throws ConsulFailure when the outcome is not known, or the whole was refused
   */
  transaction(operations: readonly ConsulOperation[]): Promise<TransactionAnswer>

  /**
   * Bound to no check of any agent, so that only its time to live and `destroySession` end it; its end releases the keys
   * that it holds, at once: no lock delay, behaviour `release`.
   *
   * @returns its id
   */
  createSession(session: ConsulSession): Promise<string>
  /** @returns false when there is no such session (any more) */
  renewSession(sessionId: string): Promise<boolean>
  /** No error when there is no such session. */
  destroySession(sessionId: string): Promise<void>

  /** Registers with one agent, or replaces what is registered under this id there. */
  registerService(service: ConsulService): Promise<void>
  deregisterService(serviceId: string): Promise<void>
  /**
   * Feeds the service's check with its time to live.
   *
   * @returns false when the agent knows no such service: register again
   */
  passCheck(serviceId: string, note: string): Promise<boolean>
  /** All instances of a service, also those whose check is critical. */
  serviceInstances(name: string): Promise<readonly ConsulServiceInstance[]>

  /** Ends what is under way (with a `ConsulFailure`) and gives back the sockets. */
  close(): Promise<void>
}

export type GetOptions = {
  /** Asks the leader to make sure that it still is one: for every decision. Else the leader's own view. */
  readonly consistent?: boolean
  readonly waitIndex?: number
  readonly waitMs?: number
}

export type ConsulAnswer = {
  /** For the next blocking query; Consul's X-Consul-Index. */
  readonly index: number
  readonly pair: ConsulPair | undefined
}

export type ConsulPair = {
  readonly key: string
  readonly value: Buffer
  readonly modifyIndex: number
  /** The session that holds this key. */
  readonly sessionId: string | undefined
}

/** Verbs of Consul's transactions (`KV` operations), each with its meaning there. */
export type ConsulOperation =
  | { readonly verb: 'set'; readonly key: string; readonly value: Buffer }
  /** Sets when the key was last changed at exactly this index; 0: when there is no such key. */
  | {
      readonly verb: 'cas'
      readonly key: string
      readonly value: Buffer
      readonly modifyIndex: number
    }
  /** Sets and takes the lock; fails while another session holds it, or when this one does not exist. */
  | {
      readonly verb: 'lock'
      readonly key: string
      readonly value: Buffer
      readonly sessionId: string
    }
  /** Sets and gives the lock back; fails when this session does not hold it. */
  | {
      readonly verb: 'unlock'
      readonly key: string
      readonly value: Buffer
      readonly sessionId: string
    }
  /** Fails when the key is not held by this session. */
  | { readonly verb: 'check-session'; readonly key: string; readonly sessionId: string }
  | { readonly verb: 'delete'; readonly key: string }
  | { readonly verb: 'delete-cas'; readonly key: string; readonly modifyIndex: number }
  /** Deletes every key that starts with `key`. */
  | { readonly verb: 'delete-tree'; readonly key: string }

export type TransactionAnswer =
  | {
      readonly committed: true
      /** By key, of the keys that were written. */
      readonly modifyIndexes: ReadonlyMap<string, number>
    }
  /** Nothing was written. */
  | { readonly committed: false; readonly why: string }

export type ConsulSession = {
  readonly name: string
  readonly ttlMs: number
}

export type ConsulService = {
  readonly id: string
  readonly name: string
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  /** The check turns critical when `passCheck` was not called for this long. */
  readonly checkTtlMs: number
  /** Consul forgets a service whose check is critical for this long; at least one minute. */
  readonly forgetAfterMs: number
}

export type ConsulServiceInstance = {
  readonly id: string
  readonly address: string
  readonly port: number
  readonly meta: Readonly<Record<string, string>>
  readonly passing: boolean
}

/** Operations in one transaction: 64 in Consul 1.8, more later. */
export const maxTransactionOperations = 64
/** Bytes of values in one transaction: Consul takes a body of 512 KiB, and values travel in base64. */
export const maxTransactionBytes = 360 * 1024

/** A call that brought no answer that could be used. */
export class ConsulFailure extends Error {
  override readonly name = 'ConsulFailure'
  readonly kind: ConsulFailureKind

  constructor(kind: ConsulFailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
  }
}

/**
 * - `unknown`: it may have happened, and may still happen (time-out, broken connection, 500).
 * - `unreachable`: it did not happen, nobody took it (connection refused, 429).
 * - `denied`: it did not happen, the token does not suffice (403).
 * - `invalid`: it did not happen, Consul does not take such a request (400, 413).
 */
export type ConsulFailureKind = 'unknown' | 'unreachable' | 'denied' | 'invalid'
