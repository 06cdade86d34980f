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

/**
 * Chooses replicas for new partitions; the first of each list is to lead. Leaders go round all brokers, racks in turn;
 * followers come from other domains as long as there are any, and shift with every round, so that the partitions of a
 * dead leader spread over all others.
 *
 * @param start where the round begins: pass how many partitions there are already, then topics follow each other evenly
 * @returns one list per partition, without repeats; or why it cannot be done, in Kafka's words (StripedReplicaPlacer)
 */
export function placeReplicas(
  brokers: readonly PlacementBroker[],
  partitions: number,
  replicationFactor: number,
  start: number,
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
  const fenced = acrossDomains(brokers.filter((broker) => broker.fenced))
  const replicas: number[][] = []
  for (let index = 0; index < partitions; index++) {
    replicas.push(replicasOf(leaders, fenced, replicationFactor, start + index))
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

function replicasOf(
  leaders: readonly PlacementBroker[],
  fenced: readonly PlacementBroker[],
  replicationFactor: number,
  at: number,
): number[] {
  const count = leaders.length
  const leader = leaders[at % count] as PlacementBroker
  const chosen = [leader.brokerId]
  if (chosen.length === replicationFactor) return chosen
  const domains = new Set([leader.failureDomain])
  // Followers begin one further after each round over all leaders.
  const others: PlacementBroker[] = []
  const shift = count > 1 ? Math.floor(at / count) % (count - 1) : 0
  for (let step = 0; step < count - 1; step++) {
    others.push(
      leaders[((at % count) + 1 + ((shift + step) % (count - 1))) % count] as PlacementBroker,
    )
  }
  const candidates = [...others, ...fenced]
  for (const { brokerId, failureDomain } of candidates) {
    if (chosen.length === replicationFactor) return chosen
    if (domains.has(failureDomain)) continue
    domains.add(failureDomain)
    chosen.push(brokerId)
  }
  for (const { brokerId } of candidates) {
    if (chosen.length === replicationFactor) break
    if (!chosen.includes(brokerId)) chosen.push(brokerId)
  }
  return chosen
}
