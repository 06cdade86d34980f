import t from 'tap'
import { MemoryBudget } from '../../../src/server/memory-budget.ts'

t.test('one large claim passes when nothing else is in use', (t) => {
  const budget = new MemoryBudget(10)
  t.ok(budget.tryTake(50))
  t.notOk(budget.tryTake(1))
  budget.give(50)
  t.ok(budget.tryTake(1))
  t.end()
})

t.test('what a waiter gives back is heard by those who were told before it', (t) => {
  const budget = new MemoryBudget(10)
  budget.take(10)
  let isGranted = false
  const large = () => {
    isGranted = budget.tryTake(8)
    if (!isGranted) budget.wait(large)
  }
  budget.wait(large)
  budget.wait(() => budget.give(6))
  budget.give(4)
  t.ok(isGranted)
  t.equal(budget.usedBytes, 8)
  t.equal(budget.waiting, 0)
  t.end()
})

t.test('the first one and the last one are told in turns', (t) => {
  const budget = new MemoryBudget(3)
  budget.take(3)
  const told: number[] = []
  for (let waiter = 0; waiter < 7; waiter++) {
    budget.wait(() => {
      told.push(waiter)
      budget.take(1)
    })
  }
  budget.give(3)
  t.same(told, [0, 6, 1])
  budget.give(2)
  t.same(told, [0, 6, 1, 5, 2])
  budget.give(3)
  t.same(told, [0, 6, 1, 5, 2, 4, 3])
  t.equal(budget.waiting, 0)
  t.end()
})

t.test('a waiter that stopped waiting while others were told is not called', (t) => {
  const budget = new MemoryBudget(10)
  budget.take(10)
  let calls = 0
  const gone = () => {
    calls++
  }
  budget.wait(() => budget.stopWaiting(gone))
  budget.wait(gone)
  budget.wait(() => budget.stopWaiting(gone))
  budget.give(10)
  t.equal(calls, 0)
  t.end()
})
