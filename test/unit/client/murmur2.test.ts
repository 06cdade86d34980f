// Goal: keys go to the partition that Kafka's own clients choose. The hashes are those of Kafka's UtilsTest.
import t from 'tap'
import { murmur2, partitionOfKey } from '../../../src/client/murmur2.ts'

const known: [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

t.test('known hashes', async (t) => {
  for (const [text, hash] of known) t.equal(murmur2(Buffer.from(text)), hash, text)
})

t.test('a partition is never negative', async (t) => {
  for (const [text, hash] of known) {
    t.equal(partitionOfKey(Buffer.from(text), 7), (hash & 0x7fffffff) % 7)
  }
  t.equal(partitionOfKey(Buffer.alloc(0), 1), 0)
})
