import t from 'tap'
import { BufferPool } from '../../../src/io/buffer-pool.ts'

const mib = 1024 * 1024

t.test('memory that is given back is lent again', (t) => {
  const buffers = new BufferPool()
  const first = buffers.take(mib - 5)
  t.equal(first.length, mib - 5)
  buffers.giveBack(first.subarray(100, 200))
  t.equal(buffers.idleBytes, mib)
  const second = buffers.take(mib)
  t.equal(second.buffer, first.buffer)
  t.equal(second.length, mib)
  t.equal(buffers.idleBytes, 0)
  t.not(buffers.take(mib).buffer, second.buffer, 'what is lent is not lent twice')
  t.end()
})

t.test('only what was lent comes back, and only once', (t) => {
  const buffers = new BufferPool()
  buffers.giveBack(Buffer.allocUnsafeSlow(mib))
  buffers.giveBack(Buffer.from('abc'))
  buffers.giveBack(buffers.take(1000))
  buffers.giveBack(buffers.take(64 * mib))
  t.equal(buffers.idleBytes, 0)
  const lent = buffers.take(mib)
  buffers.giveBack(lent)
  buffers.giveBack(lent)
  t.equal(buffers.idleBytes, mib)
  t.end()
})

t.test('what is kept is bounded', (t) => {
  const buffers = new BufferPool(2 * mib)
  const lent = [buffers.take(mib), buffers.take(mib), buffers.take(mib)]
  for (const each of lent) buffers.giveBack(each)
  t.equal(buffers.idleBytes, 2 * mib)
  t.end()
})

t.test('trimming frees what was idle all the time', (t) => {
  const buffers = new BufferPool()
  for (const each of [buffers.take(mib), buffers.take(mib)]) buffers.giveBack(each)
  buffers.trim()
  t.equal(buffers.idleBytes, 2 * mib, 'both were used since the last time')
  buffers.giveBack(buffers.take(mib))
  buffers.trim()
  t.equal(buffers.idleBytes, mib, 'one was')
  buffers.trim()
  t.equal(buffers.idleBytes, 0)
  t.end()
})
