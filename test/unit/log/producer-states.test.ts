import t from 'tap'
import { crc32c } from '../../../src/io/crc32c.ts'
import { decodeProducers, encodeProducers } from '../../../src/log/producer-snapshot.ts'
import { ProducerStates } from '../../../src/log/producer-states.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { assignOffset } from '../../../src/protocol/record-batch.ts'

type Parts = {
  epoch?: number
  sequence: number
  count?: number
  offset?: number
  transactional?: boolean
}

function batch({
  epoch = 0,
  sequence,
  count = 1,
  offset = 0,
  transactional = false,
}: Parts): Buffer {
  const records = Array.from({ length: count }, () => ({
    key: null,
    value: Buffer.from('v'),
    timestamp: 500,
  }))
  const options = { producerId: 1, producerEpoch: epoch, baseSequence: sequence, transactional }
  const built = buildBatch(records, options, crc32c)
  assignOffset(built, 0, offset, 0)
  return built
}

function marker(offset: number, type: 0 | 1, epoch = 0): Buffer {
  const key = Buffer.from([0, 0, 0, type])
  const value = Buffer.from([0, 0, 0, 0, 0, 3])
  const options = { producerId: 1, producerEpoch: epoch, transactional: true, control: true }
  const built = buildBatch([{ key, value, timestamp: 600 }], options, crc32c)
  assignOffset(built, 0, offset, 0)
  return built
}

t.test('sequences', (t) => {
  const states = new ProducerStates()
  t.equal(states.check(batch({ sequence: 77 }), 0), ErrorCode.NONE, 'nothing known: any sequence')
  states.note(batch({ sequence: 0, count: 3, offset: 0 }), 0)
  t.equal(states.check(batch({ sequence: 3 }), 0), ErrorCode.NONE)
  t.equal(states.check(batch({ sequence: 4 }), 0), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  t.equal(states.check(batch({ sequence: 2 }), 0), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  t.equal(states.check(batch({ sequence: 3, epoch: 1 }), 0), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  t.equal(states.check(batch({ sequence: 0, epoch: 1 }), 0), ErrorCode.NONE)
  states.note(batch({ sequence: 0, epoch: 1, offset: 3 }), 0)
  t.equal(states.check(batch({ sequence: 3 }), 0), ErrorCode.INVALID_PRODUCER_EPOCH)
  t.end()
})

t.test('sequences wrap', (t) => {
  const states = new ProducerStates()
  const last = 2 ** 31 - 1
  states.note(batch({ sequence: last - 1, count: 3, offset: 0 }), 0)
  t.match(states.findDuplicate(batch({ sequence: last - 1, count: 3 }), 0), { lastOffset: 2 })
  t.equal(states.check(batch({ sequence: 1 }), 0), ErrorCode.NONE)
  const other = new ProducerStates()
  other.note(batch({ sequence: last, offset: 0 }), 0)
  t.equal(other.check(batch({ sequence: 0 }), 0), ErrorCode.NONE)
  t.end()
})

t.test('the last five batches are known again, by first and last sequence', (t) => {
  const states = new ProducerStates()
  for (let index = 0; index < 7; index++) {
    states.note(batch({ sequence: index * 2, count: 2, offset: index * 2 }), 0)
  }
  t.equal(states.findDuplicate(batch({ sequence: 2, count: 2 }), 0), undefined)
  for (let index = 2; index < 7; index++) {
    t.match(states.findDuplicate(batch({ sequence: index * 2, count: 2 }), 0), {
      lastOffset: index * 2 + 1,
      offsetDelta: 1,
      timestamp: 500,
    })
  }
  t.equal(states.findDuplicate(batch({ sequence: 12, count: 1 }), 0), undefined, 'other length')
  t.equal(states.findDuplicate(batch({ sequence: 12, count: 2, epoch: 1 }), 0), undefined)
  t.end()
})

t.test('silence expires, an open transaction does not', (t) => {
  const states = new ProducerStates()
  states.note(batch({ sequence: 0 }), 0)
  states.expire(1_499, 1_000)
  t.equal(states.producers.size, 1)
  states.expire(1_500, 1_000)
  t.equal(states.producers.size, 0)
  states.note(batch({ sequence: 0, transactional: true }), 0)
  states.expire(9_999, 1_000)
  t.equal(states.producers.size, 1)
  t.end()
})

t.test('transactions hold readers back until their end is below the high watermark', (t) => {
  const states = new ProducerStates()
  t.equal(states.firstUnstableOffset, -1)
  states.note(batch({ sequence: 0, offset: 10, transactional: true }), 0)
  states.note(batch({ sequence: 1, offset: 11, transactional: true }), 0)
  t.equal(states.firstUnstableOffset, 10)
  t.equal(states.check(batch({ sequence: 2 }), 0), ErrorCode.INVALID_TXN_STATE)
  t.same(states.note(marker(12, 0), 0), {
    producerId: 1,
    firstOffset: 10,
    lastOffset: 12,
    lastStableOffset: 13,
  })
  t.equal(states.firstUnstableOffset, 10, 'the marker is not replicated yet')
  states.advance(12)
  t.equal(states.firstUnstableOffset, 10)
  states.advance(13)
  t.equal(states.firstUnstableOffset, -1)
  states.note(batch({ sequence: 2, offset: 13, transactional: true }), 0)
  t.equal(states.note(marker(14, 1), 0), undefined, 'a commit leaves no aborted transaction')
  t.end()
})

t.test('a snapshot keeps the last batch and the open transaction', (t) => {
  const states = new ProducerStates()
  states.note(batch({ sequence: 0, count: 4, offset: 0, epoch: 2 }), 0)
  states.note(batch({ sequence: 4, count: 2, offset: 4, epoch: 2, transactional: true }), 0)
  const content = encodeProducers(states.producers, crc32c)
  const again = new ProducerStates()
  again.load(decodeProducers(content, 'x.snapshot', crc32c))
  t.equal(again.firstUnstableOffset, 4)
  t.match(again.findDuplicate(batch({ sequence: 4, count: 2, epoch: 2 }), 0), { lastOffset: 5 })
  t.same(encodeProducers(again.producers, crc32c), content)
  for (let position = 0; position < content.length; position++) {
    const damaged = Buffer.from(content)
    damaged[position] = (damaged[position] as number) ^ 4
    t.throws(() => decodeProducers(damaged, 'x.snapshot', crc32c), { code: 'LMQ_LOG_CORRUPT' })
  }
  t.throws(() => decodeProducers(content.subarray(0, 20), 'x', crc32c), { code: 'LMQ_LOG_CORRUPT' })
  t.end()
})
