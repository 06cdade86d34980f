/** A broker as placement sees it. */
export type PlacementBroker = {
  readonly brokerId: number
  /** Fenced brokers may follow when there are not enough others, and never lead. */
  readonly fenced: boolean
  /** Brokers of one domain fail together: the rack, else the host, else the broker by itself. */
  readonly failureDomain: string
}

export type Placement =
  | { readonly replicas: readonly (readonly number[])[]; readonly refusal?: undefined }
  | { readonly refusal: string }

/** What brokers carry already, by replica lists: who is to lead, and who follows whom. */
export class PlacementLoads {
  /** By broker: partitions of which it is the first replica. */
  readonly #leaders = new Map<number, number>()
  /** By broker: partitions of which it is a replica. */
  readonly #replicas = new Map<number, number>()
  /** By leader, then follower: partitions of which they are the first two replicas. */
  readonly #pairs = new Map<number, Map<number, number>>()

  add(replicas: readonly number[], times = 1): void {
    const [leader, follower] = replicas
    if (leader === undefined) return
    raise(this.#leaders, leader, times)
    for (const replica of replicas) raise(this.#replicas, replica, times)
    if (follower === undefined) return
    let pairs = this.#pairs.get(leader)
    if (!pairs) {
      pairs = new Map()
      this.#pairs.set(leader, pairs)
    }
    raise(pairs, follower, times)
  }

  remove(replicas: readonly number[]): void {
    this.add(replicas, -1)
  }

  copy(): PlacementLoads {
    const copy = new PlacementLoads()
    for (const [brokerId, count] of this.#leaders) copy.#leaders.set(brokerId, count)
    for (const [brokerId, count] of this.#replicas) copy.#replicas.set(brokerId, count)
    for (const [leader, pairs] of this.#pairs) copy.#pairs.set(leader, new Map(pairs))
    return copy
  }

  leaders(brokerId: number): number {
    return this.#leaders.get(brokerId) ?? 0
  }

  replicas(brokerId: number): number {
    return this.#replicas.get(brokerId) ?? 0
  }

  pairs(leader: number, follower: number): number {
    return this.#pairs.get(leader)?.get(follower) ?? 0
  }
}

const raise = (counts: Map<number, number>, brokerId: number, by: number): void => {
  counts.set(brokerId, (counts.get(brokerId) ?? 0) + by)
}

/**
 * Chooses replicas for new partitions; the first of each list is to lead. Leaders go round all brokers, so that each
 * topic is spread evenly by itself; each round begins with those that lead least, so that many small topics are even,
 * too, and takes racks in turn among equals. Followers come from other domains as long as there are any: first those that
 * have least of this topic, then those that follow this leader least, so that what a dead leader led spreads over all
 * others.
 *
 * @param loads what there is already; the new partitions are added
 * @returns one list per partition, without repeats; or why it cannot be done, in Kafka's words (StripedReplicaPlacer)
 */
export function placeReplicas(
  brokers: readonly PlacementBroker[],
  partitions: number,
  replicationFactor: number,
  loads: PlacementLoads,
): Placement {
  if (replicationFactor > brokers.length) {
    return {
      refusal:
        `The target replication factor of ${replicationFactor} cannot be reached because only ` +
        `${brokers.length} broker(s) are registered or some brokers have all their log directories cordoned.`,
    }
  }
  const leaders = acrossDomains(brokers.filter(({ fenced }) => !fenced))
  if (leaders.length === 0) return { refusal: 'All brokers are currently fenced.' }
  const fenced = brokers.filter((broker) => broker.fenced)
  let round: PlacementBroker[] = []
  const own = new PlacementLoads()
  const replicas: number[][] = []
  for (let index = 0; index < partitions; index++) {
    const at = index % leaders.length
    if (at === 0) round = leastFirst(leaders, loads)
    const leader = round[at] as PlacementBroker
    const chosen = withFollowers(leader, leaders, fenced, replicationFactor, { own, all: loads })
    own.add(chosen)
    loads.add(chosen)
    replicas.push(chosen)
  }
  return { replicas }
}

/** All brokers in an order that visits the domains in turn; the same for the same brokers. */
function acrossDomains(brokers: readonly PlacementBroker[]): PlacementBroker[] {
  const domains = new Map<string, PlacementBroker[]>()
  const ordered = [...brokers].sort((a, b) => a.brokerId - b.brokerId)
  for (const broker of ordered) {
    const domain = domains.get(broker.failureDomain)
    if (domain) domain.push(broker)
    else domains.set(broker.failureDomain, [broker])
  }
  const inTurn: PlacementBroker[] = []
  for (let row = 0; inTurn.length < brokers.length; row++) {
    for (const domain of domains.values()) {
      const broker = domain[row]
      if (broker) inTurn.push(broker)
    }
  }
  return inTurn
}

/** Those that lead least first; among equals those with fewest replicas, then in the given order. */
const leastFirst = (brokers: readonly PlacementBroker[], loads: PlacementLoads) =>
  [...brokers].sort(
    ({ brokerId: a }, { brokerId: b }) =>
      loads.leaders(a) - loads.leaders(b) || loads.replicas(a) - loads.replicas(b),
  )

/** What brokers carry of the topic that is being placed, and of everything. */
type Loads = { readonly own: PlacementLoads; readonly all: PlacementLoads }

function withFollowers(
  { brokerId: leader, failureDomain }: PlacementBroker,
  live: readonly PlacementBroker[],
  fenced: readonly PlacementBroker[],
  replicationFactor: number,
  loads: Loads,
): number[] {
  const chosen = [leader]
  const domains = new Set([failureDomain])
  while (chosen.length < replicationFactor) {
    const isFree = (broker: PlacementBroker) => !chosen.includes(broker.brokerId)
    const isApart = (broker: PlacementBroker) => !domains.has(broker.failureDomain)
    const isFirst = chosen.length === 1
    const next =
      lightest(live.filter(isApart), leader, isFirst, loads) ??
      lightest(fenced.filter(isApart), leader, isFirst, loads) ??
      lightest(live.filter(isFree), leader, isFirst, loads) ??
      lightest(fenced.filter(isFree), leader, isFirst, loads)
    if (!next) break
    chosen.push(next.brokerId)
    domains.add(next.failureDomain)
  }
  return chosen
}

/** @param isFirst the follower that leads when the leader dies: then it counts first how often it follows this one */
function lightest(
  brokers: readonly PlacementBroker[],
  leader: number,
  isFirst: boolean,
  loads: Loads,
): PlacementBroker | undefined {
  let best: PlacementBroker | undefined
  for (const broker of brokers) {
    if (!best || weigh(broker, best, leader, isFirst, loads) < 0) best = broker
  }
  return best
}

function weigh(
  { brokerId: a }: PlacementBroker,
  { brokerId: b }: PlacementBroker,
  leader: number,
  isFirst: boolean,
  { own, all }: Loads,
): number {
  const byOwn = own.replicas(a) - own.replicas(b)
  const byPairs = isFirst ? all.pairs(leader, a) - all.pairs(leader, b) : 0
  return byOwn || byPairs || all.replicas(a) - all.replicas(b)
}
