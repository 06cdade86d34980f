import fc from 'fast-check'
import t from 'tap'
import { type PlacementBroker, placeReplicas } from '../../../src/cluster/replica-placement.ts'

const brokersOf = (domains: readonly string[]): PlacementBroker[] =>
  domains.map((failureDomain, at) => ({ brokerId: at + 1, fenced: false, failureDomain }))

const placed = (
  brokers: readonly PlacementBroker[],
  partitions: number,
  factor: number,
  start = 0,
) => {
  const placement = placeReplicas(brokers, partitions, factor, start)
  if (placement.refusal !== undefined) throw new Error(placement.refusal)
  return placement.replicas
}

const counts = (ids: readonly number[], brokers: readonly PlacementBroker[]) =>
  brokers.map(({ brokerId }) => ids.filter((id) => id === brokerId).length)

t.test('replicas differ, leaders are even, domains are used as far as they go', async () => {
  const cluster = fc.record({
    domains: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 9 }),
    partitions: fc.integer({ min: 1, max: 60 }),
    factor: fc.integer({ min: 1, max: 5 }),
    start: fc.integer({ min: 0, max: 1_000 }),
  })
  fc.assert(
    fc.property(cluster, ({ domains, partitions, factor, start }) => {
      const brokers = brokersOf(domains)
      fc.pre(factor <= brokers.length)
      const replicas = placed(brokers, partitions, factor, start)
      const domainOf = (id: number) => brokers[id - 1]?.failureDomain
      const reachable = Math.min(factor, new Set(domains).size)
      const leaders = counts(
        replicas.map((list) => list[0] as number),
        brokers,
      )
      return (
        replicas.length === partitions &&
        replicas.every((list) => list.length === factor && new Set(list).size === factor) &&
        replicas.every((list) => new Set(list.map(domainOf)).size === reachable) &&
        Math.max(...leaders) - Math.min(...leaders) <= 1
      )
    }),
    { numRuns: 300 },
  )
})

t.test('many small topics spread as one large one does', async (t) => {
  const brokers = brokersOf(['a', 'b', 'c'])
  const leaders: number[] = []
  for (let start = 0; start < 300; start++) {
    leaders.push(placed(brokers, 1, 2, start)[0]?.[0] as number)
  }
  t.strictSame(counts(leaders, brokers), [100, 100, 100])
})

t.test('followers of one leader are spread over the others', async (t) => {
  const brokers = brokersOf(['a', 'b', 'c', 'd'])
  const followers = placed(brokers, 120, 2)
    .filter(([leader]) => leader === 1)
    .map((list) => list[1] as number)
  t.strictSame(counts(followers, brokers), [0, 10, 10, 10])
})

t.test('fenced brokers never lead and follow last', async (t) => {
  const brokers = brokersOf(['a', 'b', 'c']).map((broker) => ({
    ...broker,
    fenced: broker.brokerId === 2,
  }))
  for (const list of placed(brokers, 10, 3)) {
    t.not(list[0], 2)
    t.equal(list[2], 2)
  }
  for (const list of placed(brokers, 10, 2)) t.notOk(list.includes(2))
})

t.test('refusals', async (t) => {
  t.match(
    placeReplicas(brokersOf(['a']), 1, 2, 0).refusal,
    /replication factor of 2 cannot be reached/,
  )
  const fenced = brokersOf(['a']).map((broker) => ({ ...broker, fenced: true }))
  t.equal(placeReplicas(fenced, 1, 1, 0).refusal, 'All brokers are currently fenced.')
})
