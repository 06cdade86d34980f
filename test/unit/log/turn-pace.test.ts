// Goal: work is spread over turns, in the order asked. Method: a clock that only the work moves.
import t from 'tap'
import { TurnPace } from '../../../src/log/turn-pace.ts'

t.test('so much in one turn', async (t) => {
  let nowMs = 0
  const turns: (() => void)[] = []
  const timers = { endOfTurn: (task: () => void) => void turns.push(task) }
  const pace = new TurnPace({ nowMs: () => nowMs }, timers, 30)
  const done: number[] = []
  const work = (piece: number) =>
    pace.run(() => {
      nowMs += 20
      done.push(piece)
    })
  for (let piece = 0; piece < 6; piece++) {
    if (pace.isSpent) void pace.wait().then(() => work(piece))
    else work(piece)
  }
  const turn = async () => {
    turns.shift()?.()
    for (let i = 0; i < 20; i++) await undefined
  }
  t.same(done, [0, 1], 'the second one began in time')
  t.equal(pace.isSpent, true)
  await turn()
  t.same(done, [0, 1, 2, 3])
  t.equal(pace.isSpent, true, 'others are before')
  await turn()
  t.same(done, [0, 1, 2, 3, 4, 5])
  await turn()
  t.equal(pace.isSpent, false)
  t.equal(turns.length, 0, 'nothing is left behind')
})
