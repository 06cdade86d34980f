// Checkpoints, leader epochs, indexes and metadata files: what is written is read again, what is damaged is seen.
import fs from 'node:fs'
import t from 'tap'
import { nodeDisk } from '../../../src/io/node-disk.ts'
import {
  decodeEpochs,
  decodeOffsets,
  encodeEpochs,
  encodeOffsets,
} from '../../../src/log/checkpoint-file.ts'
import { IndexCache } from '../../../src/log/index-cache.ts'
import { KeyHash } from '../../../src/log/key-hash.ts'
import { LeaderEpochCache } from '../../../src/log/leader-epoch-cache.ts'
import { offsetOfFileName, partitionOfFolderName } from '../../../src/log/log-files.ts'
import { decodeMetaProperties, encodeMetaProperties } from '../../../src/log/meta-properties.ts'
import { OffsetIndex } from '../../../src/log/offset-index.ts'
import { OffsetMap } from '../../../src/log/offset-map.ts'
import {
  decodePartitionMetadata,
  encodePartitionMetadata,
} from '../../../src/log/partition-metadata.ts'
import { TimeIndex } from '../../../src/log/time-index.ts'
import { TransactionIndex } from '../../../src/log/transaction-index.ts'
import { temporaryFolder } from './log-fixture.ts'

t.test("checkpoints are Kafka's text", (t) => {
  const offsets = [{ topic: 'a-b', partitionIndex: 3, offset: 12 }]
  t.match(encodeOffsets(offsets).toString(), /^0\n1\na-b 3 12[ \t]{32}\n$/)
  t.same(decodeOffsets(encodeOffsets(offsets), 'x'), offsets)
  t.same(decodeOffsets(Buffer.from('0\n1\na-b 3 12\n'), 'x'), offsets, 'as Kafka writes it')
  t.same(decodeOffsets(Buffer.from('0\n0\n'), 'x'), [])
  for (const text of [
    '',
    '1\n0\n',
    '0\n2\na 1 2\n',
    '0\n1\na 1\n',
    '0\n1\na x 1\n',
    '0\n1\na 1 -2\n',
    '0\n1\na 1 2',
    encodeOffsets(offsets).toString().replace('12', '13'),
  ]) {
    t.throws(
      () => decodeOffsets(Buffer.from(text), 'x'),
      { code: 'LMQ_LOG_CORRUPT' },
      JSON.stringify(text),
    )
  }
  t.same(decodeEpochs(encodeEpochs([{ epoch: 1, startOffset: 5 }]), 'x'), [
    { epoch: 1, startOffset: 5 },
  ])
  t.end()
})

t.test('leader epochs', (t) => {
  const cache = new LeaderEpochCache()
  t.equal(cache.latestEpoch, -1)
  t.same(cache.endOffsetFor(0, 0), { epoch: -1, endOffset: -1 })
  cache.note(1, 0)
  cache.note(1, 5)
  cache.note(3, 10)
  cache.note(6, 20)
  t.same(cache.endOffsetFor(6, 33), { epoch: 6, endOffset: 33 })
  t.same(cache.endOffsetFor(4, 33), { epoch: 3, endOffset: 20 })
  t.same(cache.endOffsetFor(1, 33), { epoch: 1, endOffset: 10 })
  t.same(cache.endOffsetFor(0, 33), { epoch: 0, endOffset: 0 })
  t.same(cache.endOffsetFor(7, 33), { epoch: -1, endOffset: -1 })
  t.equal(cache.epochAt(15), 3)
  cache.truncateStart(12)
  t.same(cache.entries, [
    { epoch: 3, startOffset: 12 },
    { epoch: 6, startOffset: 20 },
  ])
  cache.truncateEnd(20)
  t.same(cache.entries, [{ epoch: 3, startOffset: 12 }])
  cache.note(2, 15)
  t.same(cache.entries, [{ epoch: 2, startOffset: 15 }], 'the newest is right')
  t.end()
})

t.test('names', (t) => {
  t.equal(offsetOfFileName('00000000000000000123.log'), 123)
  t.equal(offsetOfFileName('123.log'), undefined)
  t.equal(offsetOfFileName('99999999999999999999.log'), undefined)
  t.same(partitionOfFolderName('my-topic-12'), { topic: 'my-topic', partitionIndex: 12 })
  t.equal(partitionOfFolderName('lost+found'), undefined)
  t.equal(
    decodePartitionMetadata(encodePartitionMetadata('AAAAAAAAAAAAAAAAAAAAAQ')),
    'AAAAAAAAAAAAAAAAAAAAAQ',
  )
  t.equal(decodePartitionMetadata(Buffer.from('version: 0\ntopic_id: x')), undefined)
  const properties = { clusterId: 'c', brokerId: 4, directoryId: 'd' }
  t.same(decodeMetaProperties(encodeMetaProperties(properties), 'x'), properties)
  t.throws(() => decodeMetaProperties(Buffer.from('version=0\n'), 'x'), {
    code: 'LMQ_LOG_DIR_FOREIGN',
  })
  t.end()
})

t.test('offset index', (t) => {
  const path = `${temporaryFolder(t)}/00000000000000000100.index`
  const make = () => new OffsetIndex(nodeDisk, new IndexCache(), path, 100)
  const index = make()
  index.reset()
  for (let entry = 1; entry <= 50; entry++) index.append(100 + entry * 10, entry * 1_000)
  t.equal(index.lookup(99), 0)
  t.equal(index.lookup(109), 0)
  t.equal(index.lookup(110), 1_000)
  t.equal(index.lookup(9_999), 50_000)
  index.save()
  t.equal(fs.statSync(path).size, 400)
  index.append(700, 60_000)
  index.save()
  t.equal(make().lookup(1_000), 60_000, 'saved entries are added')
  const cut = make()
  cut.truncateTo(150)
  t.equal(cut.lookup(9_999), 4_000)
  cut.save()
  t.equal(fs.statSync(path).size, 32)
  fs.appendFileSync(path, Buffer.alloc(3))
  t.equal(make().load(), false, 'a part of an entry')
  fs.writeFileSync(path, Buffer.alloc(16))
  t.equal(make().load(), false, 'offsets that do not ascend')
  t.end()
})

t.test('time index', (t) => {
  const path = `${temporaryFolder(t)}/00000000000000000100.timeindex`
  const index = new TimeIndex(nodeDisk, new IndexCache(), path, 100)
  index.reset()
  index.append(50, 105)
  index.append(40, 110)
  index.append(60, 115)
  t.equal(index.count, 2, 'only younger ones')
  t.equal(index.lookup(49), undefined)
  t.match(index.lookup(50), { timestamp: 50, offset: 105, isFound: false })
  t.match(index.lookup(99), { offset: 115 })
  t.same(index.last, { timestamp: 60, offset: 115, isFound: false })
  index.save()
  const again = new TimeIndex(nodeDisk, new IndexCache(), path, 100)
  again.truncateTo(110)
  t.same(again.last, { timestamp: 50, offset: 105, isFound: true })
  again.append(70, 120)
  t.same(again.last, { timestamp: 70, offset: 120, isFound: false })
  t.end()
})

t.test('closed indexes leave memory when there are too many', (t) => {
  const folder = temporaryFolder(t)
  const cache = new IndexCache(1_000)
  const indexes = Array.from({ length: 10 }, (_, n) => {
    const index = new OffsetIndex(nodeDisk, cache, `${folder}/${n}.index`, 0)
    index.reset()
    for (let entry = 1; entry <= 25; entry++) index.append(entry, entry)
    index.save()
    index.setActive(false)
    return index
  })
  t.ok(cache.heldBytes <= 1_000)
  for (const index of indexes) t.equal(index.lookup(25), 25)
  t.ok(cache.heldBytes <= 1_000)
  t.end()
})

t.test('transaction index', (t) => {
  const path = `${temporaryFolder(t)}/00000000000000000000.txnindex`
  const first = { producerId: 1, firstOffset: 2, lastOffset: 5, lastStableOffset: 6 }
  const second = { producerId: 2, firstOffset: 4, lastOffset: 9, lastStableOffset: 10 }
  const index = new TransactionIndex(nodeDisk, path)
  t.same(index.entries, [])
  index.save()
  t.notOk(fs.existsSync(path))
  index.append(first)
  index.save()
  index.append(second)
  index.save()
  t.equal(fs.statSync(path).size, 68)
  const again = new TransactionIndex(nodeDisk, path)
  t.same(again.entries, [first, second])
  again.truncateTo(9)
  again.save()
  t.same(new TransactionIndex(nodeDisk, path).entries, [first])
  t.end()
})

t.test('offset map', (t) => {
  const map = new OffsetMap(24 * 1_000, 0.5, 10_000)
  const keys = Array.from({ length: 500 }, (_, index) => Buffer.from(`key number ${index}`))
  for (const [offset, key] of keys.entries()) t.ok(map.put(key, 0, key.length, offset))
  t.equal(map.size, 500)
  const one = Buffer.from('one too many')
  t.equal(map.put(one, 0, one.length, 1), false)
  t.equal(map.get(one, 0, one.length), -1)
  for (const [offset, key] of keys.entries()) t.ok(map.put(key, 0, key.length, offset + 1_000))
  for (const [offset, key] of keys.entries()) t.equal(map.get(key, 0, key.length), offset + 1_000)
  t.end()
})

t.test('key hash tells keys apart, of every length', (t) => {
  const hash = new KeyHash()
  const seen = new Set<string>()
  for (let length = 0; length < 70; length++) {
    for (const fill of [0, 1, 255]) {
      const key = Buffer.alloc(length + 6, fill)
      hash.update(key, 3, 3 + length)
      seen.add(`${hash.h1} ${hash.h2} ${hash.h3} ${hash.h4}`)
    }
  }
  t.equal(seen.size, 69 * 3 + 1)
  t.end()
})
