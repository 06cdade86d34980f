import fc from 'fast-check'
import t from 'tap'
import {
  type PlacementBroker,
  PlacementLoads,
  placeReplicas,
} from '../../../src/cluster/replica-placement.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

const brokersOf = (domains: readonly string[]): PlacementBroker[] =>
  domains.map((failureDomain, at) => ({ brokerId: at + 1, fenced: false, failureDomain }))

const placed = (
  brokers: readonly PlacementBroker[],
  partitions: number,
  factor: number,
  loads = new PlacementLoads(),
) => {
  const placement = placeReplicas(brokers, partitions, factor, loads)
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
    before: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 10 }),
  })
  fc.assert(
    fc.property(cluster, ({ domains, partitions, factor, before }) => {
      const brokers = brokersOf(domains)
      fc.pre(factor <= brokers.length)
      const loads = new PlacementLoads()
      for (const count of before) placed(brokers, count, 1, loads)
      const replicas = placed(brokers, partitions, factor, loads)
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

t.test('leaders, replicas and heirs stay even over many topics that come and go', async () => {
  const step = fc.record({
    partitions: fc.integer({ min: 1, max: 7 }),
    drops: fc.nat({ max: 3 }),
  })
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 6 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(step, { minLength: 50, maxLength: 100, size: 'max' }),
      (count, factor, steps) => {
        const brokers = brokersOf(Array.from({ length: count }, (_, at) => `host ${at}`))
        const loads = new PlacementLoads()
        const topics: (readonly (readonly number[])[])[] = []
        for (const { partitions, drops } of steps) {
          const topic = placed(brokers, partitions, Math.min(factor, count), loads)
          if (drops > 0) topics.push(topic)
          else for (const replicas of topic) loads.remove(replicas)
        }
        const all = topics.flat()
        const leaders = counts(
          all.map((list) => list[0] as number),
          brokers,
        )
        const replicas = counts(all.flat(), brokers)
        const spread = (list: number[]) => Math.max(...list) - Math.min(...list)
        for (const { brokerId } of brokers) {
          if (loads.leaders(brokerId) !== leaders[brokerId - 1]) throw new Error('leaders counted')
          if (loads.replicas(brokerId) !== replicas[brokerId - 1])
            throw new Error('replicas counted')
        }
        return spread(leaders) <= 2 && spread(replicas) <= Math.max(6, all.length / 20)
      },
    ),
    { numRuns: Number(process.env['LMQ_RUNS'] ?? 100) },
  )
})

t.test('many small topics spread as one large one does', async (t) => {
  const brokers = brokersOf(['a', 'b', 'c'])
  const loads = new PlacementLoads()
  const lists: (readonly number[])[] = []
  for (let topic = 0; topic < 300; topic++) lists.push(...placed(brokers, 1, 2, loads))
  for (const role of [0, 1]) {
    const ids = lists.map((list) => list[role] as number)
    t.strictSame(counts(ids, brokers), [100, 100, 100])
  }
})

t.test('three partitions with two replicas on three brokers', async (t) => {
  const brokers = brokersOf(['a', 'b', 'c'])
  const loads = new PlacementLoads()
  const pairs = new Map<string, number>()
  for (let topic = 0; topic < 10; topic++) {
    const lists = placed(brokers, 3, 2, loads)
    t.strictSame(counts(lists.flat(), brokers), [2, 2, 2], 'each topic is even by itself')
    for (const list of lists) pairs.set(list.join(), (pairs.get(list.join()) ?? 0) + 1)
  }
  t.strictSame([...pairs.values()], [5, 5, 5, 5, 5, 5], 'and each broker heirs of both others')
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
    placeReplicas(brokersOf(['a']), 1, 2, new PlacementLoads()).refusal,
    /replication factor of 2 cannot be reached/,
  )
  const fenced = brokersOf(['a']).map((broker) => ({ ...broker, fenced: true }))
  t.equal(
    placeReplicas(fenced, 1, 1, new PlacementLoads()).refusal,
    'All brokers are currently fenced.',
  )
})

t.test('brokers of one machine fail together, unless their racks say otherwise', async (t) => {
  const machine = new TestMachine(0)
  const register = (brokerId: number, rack: string | null, hostId: string | null) =>
    machine.run(machine.machine.registerBroker(registration(brokerId, { rack, hostId })))
  for (const brokerId of [1, 2, 3]) register(brokerId, null, 'large')
  register(4, null, 'small')
  machine.create([topic('orders', { numPartitions: 8, replicationFactor: 2 })])
  for (const { replicas } of machine.image.topic('orders')?.partitions ?? []) {
    t.ok(replicas.includes(4), 'a replica on each machine')
  }
  machine.create([topic('three', { numPartitions: 4, replicationFactor: 3 })])
  for (const { replicas } of machine.image.topic('three')?.partitions ?? []) {
    t.equal(new Set(replicas).size, 3, 'more replicas than machines')
  }

  const racks = new TestMachine(0)
  for (const [brokerId, rack] of [
    [1, 'a'],
    [2, 'b'],
    [3, 'b'],
  ] as const) {
    racks.run(racks.machine.registerBroker(registration(brokerId, { rack, hostId: 'one' })))
  }
  racks.create([topic('orders', { numPartitions: 8, replicationFactor: 2 })])
  for (const { replicas } of racks.image.topic('orders')?.partitions ?? []) {
    t.ok(replicas.includes(1), 'a replica in each rack')
  }
})
