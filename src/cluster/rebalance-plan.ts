/**
 * Which replicas should move, and where: for brokers that joined, left for good or fill up. Pure: what is known comes
 * in, moves come out; nothing here knows how they are made.
 *
 * A move gives one partition one other replica, or another order of the same ones. It never makes a partition's list
 * shorter, and never puts two replicas into one failure domain that were apart.
 */

export type PlanBroker = {
  readonly brokerId: number
  /** Brokers of one domain fail together. */
  readonly failureDomain: string
  /** Bytes of its disks, and of them in use; undefined: not known, and then not looked at. */
  readonly disk?: { readonly totalBytes: number; readonly usedBytes: number }
}

export type PlanPartition = {
  readonly topic: string
  readonly partitionIndex: number
  readonly replicas: readonly number[]
  /** Of one replica; 0 where it is not known. */
  readonly sizeBytes: number
  /** A move of it is under way already: it is counted, and left alone. */
  readonly isMoving: boolean
}

export type PlanOptions = {
  /** Moves that copy data, those under way included. */
  readonly maxMoves: number
  /** Share of a disk in use above which a broker is relieved, 0 to 1. */
  readonly fullAt: number
}

/** Why a move is made, from the most urgent to the least. */
export type MoveReason = 'left' | 'domains' | 'full' | 'replicas' | 'leaders'

export type PlannedMove = {
  readonly topic: string
  readonly partitionIndex: number
  readonly before: readonly number[]
  readonly after: readonly number[]
  /** Bytes to copy; 0 for another order. */
  readonly sizeBytes: number
  readonly reason: MoveReason
}

/**
 * @param brokers those that may have replicas: alive and meant to stay. A replica on any other is one to replace
 * @returns moves, the most urgent first; none when all is well or nothing can be done
 */
export function planRebalance(
  brokers: readonly PlanBroker[],
  partitions: readonly PlanPartition[],
  options: PlanOptions,
): PlannedMove[] {
  if (brokers.length === 0) return []
  const planner = new Planner(brokers, partitions, options)
  planner.replaceLeft()
  planner.spreadDomains()
  planner.relieveFull()
  planner.evenReplicas()
  planner.evenLeaders()
  return planner.moves()
}

/** Share of a disk by which a broker must be below `fullAt` to be given more for evenness' sake. */
const ROOM = 0.1

type Draft = {
  readonly partition: PlanPartition
  replicas: readonly number[]
  reason: MoveReason | undefined
}

class Planner {
  readonly #brokers: readonly PlanBroker[]
  readonly #byId = new Map<number, PlanBroker>()
  readonly #drafts: Draft[]
  /** By broker: its partitions, in a fixed order. */
  readonly #hosted = new Map<number, Set<Draft>>()
  readonly #leaders = new Map<number, number>()
  readonly #usedBytes = new Map<number, number>()
  readonly #options: PlanOptions
  #copies: number

  constructor(
    brokers: readonly PlanBroker[],
    partitions: readonly PlanPartition[],
    options: PlanOptions,
  ) {
    this.#options = options
    this.#brokers = [...brokers].sort((a, b) => a.brokerId - b.brokerId)
    for (const broker of this.#brokers) {
      this.#byId.set(broker.brokerId, broker)
      this.#hosted.set(broker.brokerId, new Set())
      this.#leaders.set(broker.brokerId, 0)
      this.#usedBytes.set(broker.brokerId, broker.disk?.usedBytes ?? 0)
    }
    this.#copies = 0
    this.#drafts = partitions.map((partition) => {
      const draft = { partition, replicas: partition.replicas, reason: undefined }
      for (const replica of partition.replicas) this.#hosted.get(replica)?.add(draft)
      this.#lead(partition.replicas[0], 1)
      if (partition.isMoving) this.#copies++
      return draft
    })
  }

  moves(): PlannedMove[] {
    const order: readonly MoveReason[] = ['left', 'domains', 'full', 'replicas', 'leaders']
    const moves: PlannedMove[] = []
    for (const reason of order) {
      for (const draft of this.#drafts) {
        if (draft.reason !== reason || isSame(draft.replicas, draft.partition.replicas)) continue
        const { topic, partitionIndex, replicas: before, sizeBytes } = draft.partition
        const copied = draft.replicas.some((replica) => !before.includes(replica)) ? sizeBytes : 0
        moves.push({
          topic,
          partitionIndex,
          before,
          after: draft.replicas,
          sizeBytes: copied,
          reason,
        })
      }
    }
    return moves
  }

  /** One replica of a partition at a time: the others go on serving it. */
  replaceLeft(): void {
    for (const draft of this.#drafts) {
      const left = draft.replicas.find((replica) => !this.#byId.has(replica))
      if (left === undefined || !this.#mayMove(draft)) continue
      const to = this.#lightestFor(draft, left)
      if (to !== undefined) this.#replace(draft, left, to, 'left')
    }
  }

  /** Two replicas in one domain while another domain has none. */
  spreadDomains(): void {
    for (const draft of this.#drafts) {
      if (!this.#mayMove(draft)) continue
      const domains = draft.replicas.map((replica) => this.#domainOf(replica))
      const at = domains.findLastIndex((domain, index) => domains.indexOf(domain) < index)
      const from = draft.replicas[at]
      if (from === undefined) continue
      const to = this.#lightestFor(draft, from)
      if (to === undefined || domains.includes(this.#domainOf(to))) continue
      this.#replace(draft, from, to, 'domains')
    }
  }

  /** Largest partitions first, to whoever has most room: few moves free much. */
  relieveFull(): void {
    for (const { brokerId } of this.#brokers) {
      const drafts = [...(this.#hosted.get(brokerId) ?? [])].sort(
        (a, b) => b.partition.sizeBytes - a.partition.sizeBytes,
      )
      for (const draft of drafts) {
        if (this.#fill(brokerId) <= this.#options.fullAt) break
        if (draft.partition.sizeBytes === 0 || !this.#mayMove(draft)) continue
        const to = this.#emptiestFor(draft, brokerId)
        if (to !== undefined) this.#replace(draft, brokerId, to, 'full')
      }
    }
  }

  /** From whoever has most to whoever has least, as long as that makes the difference smaller. */
  evenReplicas(): void {
    for (;;) {
      const byCount = [...this.#brokers].sort(
        (a, b) => this.#count(b.brokerId) - this.#count(a.brokerId) || a.brokerId - b.brokerId,
      )
      if (!byCount.some((from) => this.#moveOneFrom(from.brokerId, byCount))) return
    }
  }

  #moveOneFrom(from: number, byCount: readonly PlanBroker[]): boolean {
    for (const { brokerId: to } of byCount.toReversed()) {
      if (this.#count(from) - this.#count(to) <= 1) return false
      // Else what was moved away because of a full disk would come back.
      if (this.#fill(to) > this.#options.fullAt - ROOM) continue
      const draft = this.#cheapest(from, to)
      if (!draft) continue
      this.#replace(draft, from, to, 'replicas')
      return true
    }
    return false
  }

  /** The smallest partition that can go from one broker to another; followers before leaders. */
  #cheapest(from: number, to: number): Draft | undefined {
    let best: Draft | undefined
    for (const draft of this.#hosted.get(from) ?? []) {
      if (!this.#mayMove(draft) || !this.#fits(draft, from, to)) continue
      if (best && best.partition.sizeBytes <= draft.partition.sizeBytes) continue
      best = draft
    }
    return best
  }

  /** Another order costs nothing: whoever leads too much lets a follower lead that leads too little. */
  evenLeaders(): void {
    for (let isBetter = true; isBetter; ) {
      isBetter = false
      for (const draft of this.#drafts) {
        const { replicas, partition } = draft
        const [leader] = replicas
        if (leader === undefined || partition.isMoving) continue
        const next = replicas
          .filter((replica) => this.#byId.has(replica))
          .reduce((a, b) => (this.#leads(b) < this.#leads(a) ? b : a), leader)
        if (this.#leads(leader) - this.#leads(next) <= 1) continue
        this.#lead(leader, -1)
        this.#lead(next, 1)
        draft.replicas = [next, ...replicas.filter((replica) => replica !== next)]
        draft.reason ??= 'leaders'
        isBetter = true
      }
    }
  }

  /** A partition moves once in a plan, and only so many copy data at a time. */
  #mayMove({ partition, reason }: Draft): boolean {
    return !partition.isMoving && reason === undefined && this.#copies < this.#options.maxMoves
  }

  #replace(draft: Draft, from: number, to: number, reason: MoveReason): void {
    if (draft.replicas[0] === from) {
      this.#lead(from, -1)
      this.#lead(to, 1)
    }
    draft.replicas = draft.replicas.map((replica) => (replica === from ? to : replica))
    draft.reason = reason
    this.#copies++
    this.#hosted.get(from)?.delete(draft)
    this.#hosted.get(to)?.add(draft)
    const { sizeBytes } = draft.partition
    this.#usedBytes.set(from, (this.#usedBytes.get(from) ?? 0) - sizeBytes)
    this.#usedBytes.set(to, (this.#usedBytes.get(to) ?? 0) + sizeBytes)
  }

  /** Whether `to` may take the place of `from`: it has room, and no two replicas come together that were apart. */
  #fits({ replicas, partition }: Draft, from: number, to: number): boolean {
    if (replicas.includes(to) || this.#wouldFill(to, partition.sizeBytes)) return false
    const others = replicas.filter((replica) => replica !== from)
    const domains = new Set(others.map((replica) => this.#domainOf(replica)))
    return !domains.has(this.#domainOf(to)) || domains.has(this.#domainOf(from))
  }

  /** A broker of a domain that has no replica yet, else any; of them the one with fewest. */
  #lightestFor({ replicas, partition }: Draft, from: number): number | undefined {
    const others = replicas.filter((replica) => replica !== from)
    const domains = new Set(others.map((replica) => this.#domainOf(replica)))
    const rank = ({ brokerId, failureDomain }: PlanBroker) =>
      (domains.has(failureDomain) ? 1e9 : 0) + this.#count(brokerId)
    const free = this.#brokers.filter(
      ({ brokerId }) =>
        !replicas.includes(brokerId) && !this.#wouldFill(brokerId, partition.sizeBytes),
    )
    if (free.length === 0) return undefined
    return free.reduce((a, b) => (rank(b) < rank(a) ? b : a)).brokerId
  }

  #emptiestFor(draft: Draft, from: number): number | undefined {
    let best: number | undefined
    for (const { brokerId, disk } of this.#brokers) {
      if (!disk || !this.#fits(draft, from, brokerId)) continue
      if (best === undefined || this.#fill(brokerId) < this.#fill(best)) best = brokerId
    }
    return best
  }

  /** Share of the disk that is in use; 0 where it is not known. */
  #fill(brokerId: number, moreBytes = 0): number {
    const disk = this.#byId.get(brokerId)?.disk
    if (!disk || disk.totalBytes <= 0) return 0
    return ((this.#usedBytes.get(brokerId) ?? 0) + moreBytes) / disk.totalBytes
  }

  #wouldFill(brokerId: number, moreBytes: number): boolean {
    return this.#fill(brokerId, moreBytes) > this.#options.fullAt
  }

  #count(brokerId: number): number {
    return this.#hosted.get(brokerId)?.size ?? 0
  }

  #leads(brokerId: number): number {
    return this.#leaders.get(brokerId) ?? 0
  }

  #lead(brokerId: number | undefined, by: number): void {
    if (brokerId === undefined || !this.#byId.has(brokerId)) return
    this.#leaders.set(brokerId, this.#leads(brokerId) + by)
  }

  #domainOf(brokerId: number): string {
    return this.#byId.get(brokerId)?.failureDomain ?? `left ${brokerId}`
  }
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((each, at) => each === b[at])
