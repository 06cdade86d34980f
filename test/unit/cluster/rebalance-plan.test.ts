import fc from 'fast-check'
import t from 'tap'
import {
  type PlanBroker,
  type PlannedMove,
  type PlanPartition,
  planRebalance,
} from '../../../src/cluster/rebalance-plan.ts'
import { hasFacts } from './has-facts.ts'

const options = { maxMoves: 1_000_000, fullAt: 0.85 }

const brokersOf = (domains: readonly string[]): PlanBroker[] =>
  domains.map((failureDomain, at) => ({ brokerId: at + 1, failureDomain }))

const partitionsOf = (lists: readonly (readonly number[])[], sizeBytes = 1): PlanPartition[] =>
  lists.map((replicas, partitionIndex) => {
    return { topic: 'a', partitionIndex, replicas, sizeBytes, isMoving: false }
  })

/** The replica lists when all moves are made. */
function after(partitions: readonly PlanPartition[], moves: readonly PlannedMove[]) {
  const lists = partitions.map(({ replicas }) => replicas)
  for (const move of moves) lists[move.partitionIndex] = move.after
  return lists
}

const countOf = (lists: readonly (readonly number[])[], brokers: readonly PlanBroker[]) =>
  brokers.map(({ brokerId }) => lists.filter((list) => list.includes(brokerId)).length)

const isCopy = ({ before, after: to }: PlannedMove) => to.some((id) => !before.includes(id))

const cluster = fc
  .record({
    domains: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 7 }),
    lists: fc.array(
      fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
      {
        minLength: 1,
        maxLength: 60,
      },
    ),
    maxMoves: fc.integer({ min: 0, max: 20 }),
  })
  .map(({ domains, lists, maxMoves }) => {
    return { brokers: brokersOf(domains), partitions: partitionsOf(lists), maxMoves }
  })

t.test('a move keeps what was good', async () => {
  fc.assert(
    fc.property(cluster, ({ brokers, partitions, maxMoves }) => {
      const moves = planRebalance(brokers, partitions, { ...options, maxMoves })
      const domainOf = (id: number) =>
        brokers.find(({ brokerId }) => brokerId === id)?.failureDomain ?? `left ${id}`
      const seen = new Set(moves.map(({ partitionIndex }) => partitionIndex))
      return (
        moves.filter(isCopy).length <= maxMoves &&
        seen.size === moves.length &&
        moves.every(({ before, after: to }) => {
          const added = to.filter((id) => !before.includes(id))
          const domains = (ids: readonly number[]) => new Set(ids.map(domainOf)).size
          const gone = before.some((id) => !brokers.some(({ brokerId }) => brokerId === id))
          return (
            to.length === before.length &&
            new Set(to).size === to.length &&
            added.length <= 1 &&
            added.every((id) => brokers.some(({ brokerId }) => brokerId === id)) &&
            (gone || domains(to) >= domains(before))
          )
        })
      )
    }),
    { numRuns: 500 },
  )
})

t.test('plans made one after another come to an end, with all as even as it can be', async () => {
  fc.assert(
    fc.property(cluster, ({ brokers, partitions }) => {
      const factor = Math.max(...partitions.map(({ replicas }) => replicas.length))
      fc.pre(factor <= brokers.length)
      let state = partitions
      let copies = 0
      for (let round = 0; ; round++) {
        const moves = planRebalance(brokers, state, { ...options, maxMoves: 5 })
        if (moves.length === 0) break
        if (round > 500) throw new Error('it never ends')
        copies += moves.filter(isCopy).length
        state = partitionsOf(after(state, moves))
      }
      const lists = state.map(({ replicas }) => replicas)
      const known = new Set(brokers.map(({ brokerId }) => brokerId))
      if (!lists.flat().every((id) => known.has(id))) throw new Error('a replica is nowhere')
      const before = partitions.map(({ replicas }) => replicas)
      const total = lists.flat().length
      const floor = Math.floor(total / brokers.length)
      // Nothing moves that has no reason to: what left, what was together, and what was too much.
      const needed =
        before.flat().filter((id) => !known.has(id)).length +
        before.filter(
          (list) => new Set(list.map((id) => brokers[id - 1]?.failureDomain)).size < list.length,
        ).length *
          3
      const tooMuch = countOf(before, brokers).reduce((sum, n) => sum + Math.max(0, n - floor), 0)
      if (copies > 2 * needed + tooMuch) throw new Error(`${copies} copies`)
      const isOneDomain = new Set(brokers.map(({ failureDomain }) => failureDomain)).size === 1
      if (!isOneDomain) return
      const counts = countOf(lists, brokers)
      if (Math.max(...counts) - Math.min(...counts) > 1) throw new Error(`uneven: ${counts}`)
    }),
    { numRuns: 300 },
  )
})

t.test('a new broker takes its share, and no more than that moves', async (t) => {
  const lists = Array.from({ length: 30 }, (_, at) => [1 + (at % 3), 1 + ((at + 1) % 3)])
  const brokers = brokersOf(['a', 'b', 'c', 'd'])
  const partitions = partitionsOf(lists)
  const moves = planRebalance(brokers, partitions, options)
  t.equal(moves.filter(isCopy).length, 15)
  t.strictSame(countOf(after(partitions, moves), brokers), [15, 15, 15, 15])
  const leaders = brokers.map(
    ({ brokerId }) => after(partitions, moves).filter(([id]) => id === brokerId).length,
  )
  t.ok(Math.max(...leaders) - Math.min(...leaders) <= 1, `leaders ${leaders}`)
  const few = planRebalance(brokers, partitions, { ...options, maxMoves: 4 })
  t.equal(few.filter(isCopy).length, 4, 'a few at a time')
})

t.test('a broker that left for good is replaced, in another domain if there is one', async (t) => {
  const brokers = brokersOf(['a', 'b', 'a', 'c']).filter(({ brokerId }) => brokerId !== 2)
  const [move] = planRebalance(brokers, partitionsOf([[1, 2]]), options)
  hasFacts(t, move, { before: [1, 2], after: [1, 4], reason: 'left' })
  const alone = brokersOf(['a'])
  t.strictSame(planRebalance(alone, partitionsOf([[1, 2]]), options), [], 'nobody else is there')
})

t.test('replicas of one domain are taken apart', async (t) => {
  const brokers = brokersOf(['a', 'a', 'b'])
  const [move] = planRebalance(brokers, partitionsOf([[1, 2]]), options)
  hasFacts(t, move, { after: [1, 3], reason: 'domains' })
})

t.test('a disk that fills up is relieved by its largest partition', async (t) => {
  const brokers: PlanBroker[] = [
    { brokerId: 1, failureDomain: 'a', disk: { totalBytes: 100, usedBytes: 90 } },
    { brokerId: 2, failureDomain: 'b', disk: { totalBytes: 100, usedBytes: 80 } },
    { brokerId: 3, failureDomain: 'c', disk: { totalBytes: 100, usedBytes: 20 } },
  ]
  const sizes = [10, 40, 20]
  const partitions = partitionsOf([[1], [1], [1]]).map((partition, at) => {
    return { ...partition, sizeBytes: sizes[at] as number }
  })
  const moves = planRebalance(brokers, partitions, { maxMoves: 1, fullAt: 0.85 })
  t.match(moves, [{ partitionIndex: 1, after: [3], sizeBytes: 40, reason: 'full' }])
  const full = brokers.map((broker) => ({ ...broker, disk: { totalBytes: 100, usedBytes: 90 } }))
  t.strictSame(
    planRebalance(full, partitions, options).filter(isCopy),
    [],
    'nothing moves onto a full disk',
  )
})

t.test('what moves already is left alone and counted', async (t) => {
  const brokers = brokersOf(['a', 'b'])
  const partitions = partitionsOf([[1], [1], [1], [1]]).map((partition, at) => {
    return { ...partition, isMoving: at < 2 }
  })
  t.equal(planRebalance(brokers, partitions, { ...options, maxMoves: 2 }).length, 0)
  const moves = planRebalance(brokers, partitions, { ...options, maxMoves: 3 })
  t.match(moves, [{ partitionIndex: 2 }])
})

t.test('ten thousand partitions', async (t) => {
  const lists = Array.from({ length: 10_000 }, (_, at) => [1 + (at % 3), 1 + ((at + 1) % 3)])
  const brokers = brokersOf(['a', 'b', 'c', 'd'])
  const startedMs = performance.now()
  const moves = planRebalance(brokers, partitionsOf(lists), { ...options, maxMoves: 10 })
  const tookMs = performance.now() - startedMs
  t.equal(moves.filter(isCopy).length, 10)
  t.ok(tookMs < 5_000, `planned in ${Math.round(tookMs)} ms`)
})
