import { produce } from '../../../../src/protocol/apis/00-produce.ts'
import { initProducerId } from '../../../../src/protocol/apis/22-init-producer-id.ts'
import { describeProducers } from '../../../../src/protocol/apis/61-describe-producers.ts'
import { ZERO_UUID } from '../../../../src/protocol/uuid.ts'
import { batch, changed, gzipBatch, packed, record, T } from './batches.ts'
import { offsets, produceRequest, read, send, topic } from './requests.ts'
import type { Story, Telling } from './telling.ts'

const UNKNOWN_ID = 'AbCdEfGhIjKlMnOpQrStUw'
const versions = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

export const produceStories: Record<string, Story> = {
  'produce at every version': async (s) => {
    const name = await topic(s, 'plain', 2)
    for (const version of versions(3, 13)) {
      await send(s, version, { [name]: { 0: batch(), 1: batch([record('a'), record('b')]) } })
      await send(s, version, { [name]: { 0: batch() } }, { acks: 1 })
      const missing = version >= 13 ? UNKNOWN_ID : s.name('missing')
      await send(s, version, {
        [missing]: { 0: batch() },
        [name]: { 0: batch(), 7: batch(), '-1': batch() },
      })
      await send(s, version, { [name]: { 0: batch() } }, { acks: 2 })
      await send(s, version, { [name]: { 0: batch() } }, { acks: -2 })
      await send(s, version, { [name]: { 0: null } })
      await send(s, version, { [name]: { 0: Buffer.alloc(0) } })
      await send(s, version, { [name]: {} })
      await send(s, version, {})
    }
    await read(s, 12, { [name]: { 0: {}, 1: {} } })
  },

  'produce to bad names': async (s) => {
    for (const bad of [
      '',
      '.',
      '..',
      'a b',
      'x'.repeat(250),
      '__consumer_offsets',
      '__transaction_state',
    ]) {
      await send(s, 9, { [bad]: { 0: batch() } })
    }
    await s.ask(produce, 13, produceRequest(s, 13, { [ZERO_UUID]: { 0: batch() } }), {
      label: 'zero id',
    })
    const name = await topic(s, 'timeouts')
    await s.ask(produce, 9, produceRequest(s, 9, { [name]: { 0: batch() } }, { timeoutMs: -1 }), {
      label: 'negative timeout',
    })
    await s.ask(produce, 9, produceRequest(s, 9, { [name]: { 0: batch() } }, { timeoutMs: 0 }), {
      label: 'zero timeout',
    })
  },

  'a partition more than once': async (s) => {
    const name = await topic(s, 'twice')
    await s.ask(
      produce,
      9,
      {
        transactionalId: null,
        acks: -1,
        timeoutMs: 1000,
        topicData: [
          {
            name,
            topicId: ZERO_UUID,
            partitionData: [
              { index: 0, records: batch([record('1')]) },
              { index: 0, records: batch([record('2')]) },
            ],
          },
          {
            name,
            topicId: ZERO_UUID,
            partitionData: [{ index: 0, records: batch([record('3')]) }],
          },
        ],
      },
      { label: 'same partition three times', ordered: true },
    )
    await read(s, 12, { [name]: { 0: {} } })
  },

  'produce without acks': async (s) => {
    const name = await topic(s, 'silent')
    const good = produceRequest(s, 9, { [name]: { 0: batch() } }, { acks: 0 })
    const bad = produceRequest(s, 9, { [s.name('none')]: { 0: batch() } }, { acks: 0 })
    const invalid = produceRequest(
      s,
      9,
      { [name]: { 0: Buffer.from('no batch at all') } },
      { acks: 0 },
    )
    const { RawClient } = await import('../raw-client.ts')
    await s.sendBytes('good', RawClient.frame(produce as never, 9, good as never))
    await s.sendBytes('unknown topic', RawClient.frame(produce as never, 9, bad as never))
    await s.sendBytes('broken batch', RawClient.frame(produce as never, 9, invalid as never))
    await read(s, 12, { [name]: { 0: {} } })
  },

  'broken batches': async (s) => {
    const name = await topic(s, 'broken')
    for (const version of [3, 7, 9]) {
      for (const [label, bytes] of Object.entries(brokenBatches())) {
        if (judgedOtherwise.test(label)) continue
        await send(s, version, { [name]: { 0: bytes } }, { label })
      }
    }
    await read(s, 12, { [name]: { 0: {} } })
  },

  'batches that are judged otherwise': async (s) => {
    const name = await topic(s, 'otherwise')
    for (const version of [3, 7, 9]) {
      for (const [label, bytes] of Object.entries(brokenBatches())) {
        if (!judgedOtherwise.test(label)) continue
        await send(s, version, { [name]: { 0: bytes } }, { label, without: ['baseOffset'] })
      }
    }
  },

  'compacted topic': async (s) => {
    const name = await topic(s, 'compacted', 1, { 'cleanup.policy': 'compact' })
    for (const version of [7, 8, 9]) {
      await send(s, version, { [name]: { 0: batch([record('v', null)]) } })
      await send(s, version, {
        [name]: {
          0: batch([
            record('v', 'k'),
            record('w', null),
            record('x', ''),
            record('y', null),
            record('z', null),
            record('z', null),
          ]),
        },
      })
      await send(s, version, { [name]: { 0: gzipBatch([record('v', 'k'), record('w', null)]) } })
      await send(s, version, { [name]: { 0: batch([record(null, 'k')]) } })
    }
    await read(s, 12, { [name]: { 0: {} } })
  },

  'times of records': async (s) => {
    const create = await topic(s, 'create-time', 1, {
      'message.timestamp.before.max.ms': '1000',
      'message.timestamp.after.max.ms': '1000',
    })
    const now = Date.now()
    for (const version of [7, 9]) {
      await send(
        s,
        version,
        {
          [create]: {
            0: batch([
              record('now', 'k', now),
              record('old', 'k', T),
              record('late', 'k', now + 100_000_000),
            ]),
          },
        },
        { label: 'bounded', without: ['errorMessage', 'batchIndexErrorMessage'] },
      )
      await send(
        s,
        version,
        { [create]: { 0: gzipBatch([record('now', 'k', now), record('old', 'k', T)]) } },
        { label: 'bounded, gzip', without: ['errorMessage', 'batchIndexErrorMessage'] },
      )
      await send(
        s,
        version,
        { [create]: { 0: batch([record('none', 'k', -1)]) } },
        { label: 'no time' },
      )
      await send(
        s,
        version,
        { [create]: { 0: batch([record('', 'k', now)], { timestampType: 1 }) } },
        { label: 'append time bit' },
      )
      await send(
        s,
        version,
        { [create]: { 0: batch([record('', 'k', -1)], { timestampType: 1 }) } },
        { label: 'append time bit without time' },
      )
    }
    const append = await topic(s, 'append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
    for (const version of [7, 9]) {
      await send(s, version, { [append]: { 0: batch([record('a', 'k', 5), record('b', 'k', 9)]) } })
      await send(s, version, { [append]: { 0: gzipBatch([record('a', 'k', 5)]) } })
      await send(s, version, { [append]: { 0: batch([record('', 'k', 5)], { timestampType: 1 }) } })
    }
    const free = await topic(s, 'free-time')
    await send(s, 9, {
      [free]: { 0: batch([record('a', 'k', T), record('b', 'k', T - 5), record('c', 'k', T + 9)]) },
    })
    await send(
      s,
      9,
      {
        [free]: { 0: changed(batch([record('a'), record('b')]), (b) => b.writeBigInt64BE(5n, 35)) },
      },
      { label: 'wrong max time' },
    )
    await send(s, 9, { [free]: { 0: batch([record('z', 'k', -5)]) } }, { label: 'negative time' })
    await read(s, 12, { [create]: { 0: {} } })
    await read(s, 12, { [append]: { 0: {} } })
    await read(s, 12, { [free]: { 0: {} } })
    await offsets(s, 7, { [free]: [[0, -3]] })
  },

  'large batches': async (s) => {
    const name = await topic(s, 'large', 1, { 'max.message.bytes': '200' })
    for (const version of [7, 9]) {
      await send(s, version, { [name]: { 0: batch([record('v'.repeat(300))]) } })
      await send(s, version, { [name]: { 0: gzipBatch([record('v'.repeat(3000))]) } })
    }
    const small = await topic(s, 'segment', 1, { 'segment.bytes': '1048576' })
    await send(s, 9, { [small]: { 0: batch([record('v'.repeat(1_048_576 - 200))]) } })
    await send(s, 9, { [small]: { 0: batch([record('v'.repeat(1_048_576))]) } })
  },

  recompression: async (s) => {
    const zip = await topic(s, 'to-gzip', 1, { 'compression.type': 'gzip' })
    const plain = await topic(s, 'to-plain', 1, { 'compression.type': 'uncompressed' })
    await send(s, 9, { [zip]: { 0: batch([record('a'), record('b')]) } })
    await send(s, 9, { [plain]: { 0: gzipBatch([record('a'), record('b')]) } })
    await send(
      s,
      9,
      { [plain]: { 0: packed(1, Buffer.from('no gzip at all')) } },
      { label: 'not gzip' },
    )
    await read(s, 12, { [plain]: { 0: {} } })
    await offsets(s, 7, { [zip]: [[0, -1]] })
  },

  'idempotent producer': async (s) => {
    const name = await topic(s, 'sequences')
    const by = (producerId: number, producerEpoch: number, baseSequence: number, count = 1) =>
      batch(
        Array.from({ length: count }, (_, i) => record(`${baseSequence + i}`)),
        { producerId, producerEpoch, baseSequence },
      )
    const put = (label: string, bytes: Buffer, version = 9) =>
      send(s, version, { [name]: { 0: bytes } }, { label })
    await put('first at 0', by(5001, 0, 0, 2))
    await put('next', by(5001, 0, 2))
    await put('repeated', by(5001, 0, 2))
    await put('first repeated', by(5001, 0, 0, 2))
    await put('part of the first', by(5001, 0, 0, 1))
    await put('gap', by(5001, 0, 4))
    await put('gap, old client', by(5001, 0, 4), 3)
    for (let i = 3; i < 9; i++) await put(`step ${i}`, by(5001, 0, i))
    await put('out of the window', by(5001, 0, 2))
    await put('in the window', by(5001, 0, 5))
    await put('new epoch not at 0', by(5001, 1, 9))
    await put('new epoch', by(5001, 1, 0))
    await put('old epoch', by(5001, 0, 9))
    await put('old epoch, old client', by(5001, 0, 9), 3)
    await put('unknown producer not at 0', by(5002, 0, 77))
    await put('and on', by(5002, 0, 78))
    await put('unknown producer at the end', by(5003, 3, 2_147_483_646, 2))
    await put('wraps', by(5003, 3, 0))
    await put('unknown producer over the end', by(5004, 3, 2_147_483_647, 2))
    await put('wraps to 1', by(5004, 3, 1))
    await put('no sequence', by(5005, 0, -1))
    await put('no epoch', by(5005, -1, 0))
    await put('no id but sequence', by(-1, 0, 0))
    await put('id -2', by(-2, 0, 0))
    await put('epoch 32767', by(5006, 32767, 0))
    await put(
      'control',
      batch([record()], { producerId: 5007, producerEpoch: 0, baseSequence: 0, control: true }),
    )
    await put(
      'transactional without id',
      batch([record()], {
        producerId: 5007,
        producerEpoch: 0,
        baseSequence: 0,
        transactional: true,
      }),
    )
    await producers(s, name)
    await read(s, 12, { [name]: { 0: {} } })
  },

  'producers of unknown partitions': async (s) => {
    const name = await topic(s, 'producers', 1)
    for (const [asked, indexes] of [
      [name, [0, 1, -1, 0]],
      [s.name('nothing'), [0]],
      ['a b', [0]],
      ['', [0]],
      [name, []],
      ['__transaction_state', [0]],
    ] as [string, number[]][]) {
      await s.ask(describeProducers, 0, { topics: [{ name: asked, partitionIndexes: indexes }] })
    }
    await s.ask(describeProducers, 0, { topics: [] })
  },

  'producer ids': async (s) => {
    const ask = (version: number, more: Record<string, unknown>, label: string) =>
      s.ask(
        initProducerId,
        version,
        {
          transactionalId: null,
          transactionTimeoutMs: 60_000,
          producerId: -1,
          producerEpoch: -1,
          enable2Pc: false,
          keepPreparedTxn: false,
          ...more,
        },
        { label, without: ['producerId'] },
      )
    await s.until(
      initProducerId,
      0,
      { transactionalId: null, transactionTimeoutMs: 60_000 },
      ({ errorCode }) => errorCode === 0,
    )
    for (const version of versions(0, 6)) {
      await ask(version, {}, 'fresh')
      await ask(version, { transactionTimeoutMs: -1 }, 'negative timeout')
      await ask(version, { transactionTimeoutMs: 0 }, 'zero timeout')
      if (version >= 3) {
        await ask(version, { producerId: 5, producerEpoch: -1 }, 'id without epoch')
        await ask(version, { producerId: -1, producerEpoch: 3 }, 'epoch without id')
        await ask(version, { producerId: 5, producerEpoch: 3 }, 'id and epoch')
      }
    }
    await ask(4, { transactionalId: '' }, 'empty transactional id')
  },
}

/** Opened before they are stored by only one of the brokers, or by a stricter rule. */
const judgedOtherwise =
  /^(and \d+ bytes|length too small|codec \d|.*, not really|offset delta wrong)$/

const producers = (s: Telling, name: string) =>
  s.ask(describeProducers, 0, { topics: [{ name, partitionIndexes: [0] }] })

function brokenBatches(): Record<string, Buffer> {
  const good = batch([record('a'), record('b')])
  const patch = (change: (bytes: Buffer) => void) => changed(good, change)
  const raw = (change: (bytes: Buffer) => void) => {
    const copy = Buffer.from(good)
    change(copy)
    return copy
  }
  return {
    'wrong checksum': raw((b) => b.writeUInt32BE(1, 17)),
    'value changed': raw((b) => b.writeUInt8(0x7a, b.length - 2)),
    'count too large': patch((b) => b.writeInt32BE(3, 57)),
    'count too small': patch((b) => b.writeInt32BE(1, 57)),
    'count and delta too large': patch((b) => {
      b.writeInt32BE(3, 57)
      b.writeInt32BE(2, 23)
    }),
    'count and delta too small': patch((b) => {
      b.writeInt32BE(1, 57)
      b.writeInt32BE(0, 23)
    }),
    'count 0': patch((b) => b.writeInt32BE(0, 57)),
    'count 0, delta -1': patch((b) => {
      b.writeInt32BE(0, 57)
      b.writeInt32BE(-1, 23)
    }),
    'count -1': patch((b) => b.writeInt32BE(-1, 57)),
    'delta too large': patch((b) => b.writeInt32BE(9, 23)),
    'delta negative': patch((b) => b.writeInt32BE(-2, 23)),
    'magic 0': raw((b) => b.writeInt8(0, 16)),
    'magic 1': raw((b) => b.writeInt8(1, 16)),
    'magic 3': raw((b) => b.writeInt8(3, 16)),
    'magic -1': raw((b) => b.writeInt8(-1, 16)),
    'base offset 7': raw((b) => b.writeBigInt64BE(7n, 0)),
    'length too large': raw((b) => b.writeInt32BE(b.length, 8)),
    'length too small': raw((b) => b.writeInt32BE(60, 8)),
    'length 10': raw((b) => b.writeInt32BE(10, 8)),
    'length 0': raw((b) => b.writeInt32BE(0, 8)),
    'length negative': raw((b) => b.writeInt32BE(-5, 8)),
    'cut off': good.subarray(0, good.length - 3),
    'header cut off': good.subarray(0, 40),
    '5 bytes': good.subarray(0, 5),
    '12 bytes': good.subarray(0, 12),
    '17 bytes': good.subarray(0, 17),
    'two batches': Buffer.concat([good, good]),
    'and 5 bytes': Buffer.concat([good, Buffer.alloc(5)]),
    'and 20 bytes': Buffer.concat([good, Buffer.alloc(20, 1)]),
    'codec 5': patch((b) => b.writeInt16BE(5, 21)),
    'codec 7': patch((b) => b.writeInt16BE(7, 21)),
    'unknown attribute': patch((b) => b.writeInt16BE(0x80, 21)),
    'delete horizon': patch((b) => b.writeInt16BE(0x40, 21)),
    control: patch((b) => b.writeInt16BE(0x20, 21)),
    transactional: patch((b) => b.writeInt16BE(0x10, 21)),
    'zstd, not really': patch((b) => b.writeInt16BE(4, 21)),
    'gzip, not really': patch((b) => b.writeInt16BE(1, 21)),
    'snappy, not really': patch((b) => b.writeInt16BE(2, 21)),
    'lz4, not really': patch((b) => b.writeInt16BE(3, 21)),
    'leader epoch 9': raw((b) => b.writeInt32BE(9, 12)),
    'record length wrong': patch((b) => b.writeUInt8(b.readUInt8(61) + 2, 61)),
    'record length 0': patch((b) => b.writeUInt8(0, 61)),
    'record length negative': patch((b) => b.writeUInt8(1, 61)),
    'offset delta wrong': patch((b) => b.writeUInt8(4, 64)),
    'key length wrong': patch((b) => b.writeUInt8(60, 65)),
    'key length -2': patch((b) => b.writeUInt8(3, 65)),
    'record attributes': patch((b) => b.writeUInt8(7, 62)),
    'base timestamp -2': patch((b) => b.writeBigInt64BE(-2n, 27)),
    'header count 3': patch((b) => b.writeUInt8(6, b.length - 1)),
    'header count -1': patch((b) => b.writeUInt8(1, b.length - 1)),
  }
}
