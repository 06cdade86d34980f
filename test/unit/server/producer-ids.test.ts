// Goal: no producer id is handed out twice, and those that were got in time last while nobody can give more.
import t from 'tap'
import { ProducerIds } from '../../../src/server/producer-ids.ts'

const COUNT = 1_000

function controller() {
  const state = { isAway: false, blocks: 0 }
  const allocate = async () => {
    if (state.isAway) throw new Error('away')
    return { firstProducerId: COUNT * state.blocks++, count: COUNT }
  }
  return { state, ids: new ProducerIds(allocate) }
}

t.test('ids that were prepared last while the controller is away', async (t) => {
  const { state, ids } = controller()
  ids.prepare()
  ids.prepare()
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(state.blocks, 1, 'one block')
  state.isAway = true
  const given: number[] = []
  for (let each = 0; each < COUNT; each++) given.push(await ids.next())
  t.equal(new Set(given).size, COUNT)
  await t.rejects(ids.next(), /away/)
  state.isAway = false
  t.equal(await ids.next(), COUNT, 'the next block follows')
})

t.test('preparing that fails says nothing, and is made up for', async (t) => {
  const { state, ids } = controller()
  state.isAway = true
  ids.prepare()
  await new Promise((resolve) => setImmediate(resolve))
  state.isAway = false
  t.equal(await ids.next(), 0)
  ids.prepare()
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(state.blocks, 1, 'nothing is asked for while there are ids')
})
