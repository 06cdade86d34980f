import type { Locks } from './lock.ts'

/**
 * Where the metadata log lives. Brokers are state machines over this log: one of them, the controller, appends; all of
 * them read. The store is the only judge of who may append: time, locks and beliefs of a broker decide nothing.
 *
 * Every implementation passes `test/contract/metadata-store.ts`.
 */
export type MetadataStore = {
  /** For what runs once in the whole cluster. The controllership is one of them, taken by `lead`. */
  readonly locks: Locks

  /** The last entry that is committed, and who leads. Never older than what this caller has seen. */
  head(): Promise<StoreHead>

  /**
   * Tries to become the controller.
   *
   * @returns the leadership, with an epoch above every one before; undefined while another candidate holds it
   * @throws LMQ_STORE_UNREACHABLE
   */
  lead(candidate: Candidate): Promise<Leadership | undefined>

  /** Takes the leadership of exactly this epoch away; no effect when another epoch leads by now. */
  depose(controllerEpoch: number): Promise<void>

  /**
   * Commits one entry behind `afterIndex`. It is durable and visible to every reader when this resolves.
   *
   * @param afterIndex the index of the entry that the caller believes to be the last; -1 for an empty log
   * @param isWanted asked before each further attempt, where the store makes several: false gives the entry up, and the
   *   leadership with it
   * @returns the new entry's index, `afterIndex + 1`
   * @throws LMQ_NOT_CONTROLLER when the leadership is lost or another entry stands at `afterIndex + 1`: nothing was
   *   written; LMQ_DISK_WRITE, LMQ_DISK_FLUSH, LMQ_STORE_UNREACHABLE when it cannot be known whether it was written:
   *   the leadership is lost with it
   */
  append(
    leadership: Leadership,
    afterIndex: number,
    payload: Buffer,
    isWanted?: () => boolean,
  ): Promise<number>

  /**
   * Entries from `fromIndex` on, in order; empty when there is nothing newer: than what is committed now, or, for a
   * caller with a watch, than what its listener was last called for. When entries at `fromIndex` are gone
   * already, the newest snapshot comes with them and the entries continue behind it.
   *
   * @param maxBytes a bound on the payloads together; at least one entry is returned
   */
  read(fromIndex: number, maxBytes: number): Promise<StoreRead>

  /** Calls `listener` after every change of the head. Calls may be merged; look at `head` or `read` for what is new. */
  watch(listener: () => void): Watch

  /** Bytes of entries behind the newest snapshot: when to write the next one is the controller's choice. */
  bytesSinceSnapshot(): Promise<number>

  /**
   * Keeps `snapshot` in place of all entries up to its index. Two snapshots are kept, older ones and the entries that
   * no kept snapshot needs are removed.
   *
   * @throws LMQ_NOT_CONTROLLER as `append`
   */
  writeSnapshot(leadership: Leadership, snapshot: StoreSnapshot): Promise<void>

  /** Tells the other brokers that this one runs. Liveness decides when to look for a new leader, never who leads. */
  join(member: StoreMember): Promise<Membership>
  members(): Promise<readonly StoreMember[]>

  /**
   * Shows this broker to people and programs that look for one, where the store has a place for it; said again when the
   * facts change. Never waits, and nothing in the cluster rests on it.
   */
  announce(facts: BrokerFacts): void

  /** Gives back what this store holds open; a leadership that is still held is lost. Appends under way finish first. */
  close(): Promise<void>
}

export type Candidate = {
  readonly brokerId: number
  /** Unique per process run, so that a restarted broker is not taken for its former self. */
  readonly incarnationId: string
}

export type StoreHead = {
  /** -1 while the log is empty. */
  readonly index: number
  /** The epoch of the last leadership, 0 before the first. */
  readonly controllerEpoch: number
  /** -1 while nobody leads. */
  readonly controllerId: number
}

/** The right to append, until it is lost. It never comes back: win a new one. */
export type Leadership = Candidate & {
  readonly controllerEpoch: number
  /** False as soon as this process knows of the loss; true proves nothing, only `append` does. */
  readonly held: boolean
  /** Called once when the leadership is lost, also by `release`. */
  onLost(listener: () => void): void
  release(): Promise<void>
}

/** One group commit: the records of several commands. */
export type StoreEntry = {
  readonly index: number
  readonly controllerEpoch: number
  readonly payload: Buffer
}

/** The whole state as of `index`, as one run of records. */
export type StoreSnapshot = { readonly index: number; readonly payload: Buffer }

export type StoreRead = {
  readonly snapshot: StoreSnapshot | undefined
  readonly entries: readonly StoreEntry[]
}

export type Watch = { stop(): void }

export type StoreMember = {
  readonly brokerId: number
  readonly incarnationId: string
  /** How other brokers reach this one, host:port. */
  readonly address: string
}

export type Membership = { leave(): Promise<void> }

/** What a broker shows of itself. */
export type BrokerFacts = {
  readonly brokerId: number
  /** Of its registration; -1 before. */
  readonly brokerEpoch: number
  readonly incarnationId: string
  readonly rack: string | null
  readonly version: string
  /** As advertised; the first one is what discovery gives. */
  readonly listeners: readonly {
    readonly name: string
    readonly host: string
    readonly port: number
    readonly securityProtocol: string
  }[]
  readonly httpAddress: string | undefined
}

/** Where a broker keeps the metadata log, or its copy: in the first data folder. */
export const METADATA_FOLDER = 'lmq-metadata'
