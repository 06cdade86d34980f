import t from 'tap'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import {
  append,
  batchOf,
  follow,
  nodeIo,
  openLogDirs,
  readAll,
  record,
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

t.test('what is appended is read back, before and after a restart', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [folder])
  const log = follow(
    dirs.create(
      'orders',
      0,
      topicId,
      topicConfig({ 'segment.bytes': 2000, 'index.interval.bytes': 200 }),
    ),
  )
  const expected = []
  for (let index = 0; index < 100; index++) {
    const result = await append(
      log,
      batchOf(io, [record(`k${index}`, `v${index}`), record(null, 'x')]),
    )
    t.equal(result.errorCode, ErrorCode.NONE)
    t.equal(result.baseOffset, index * 2)
    expected.push(
      { offset: index * 2, key: `k${index}`, value: `v${index}` },
      { offset: index * 2 + 1, key: null, value: 'x' },
    )
  }
  t.ok(log.segments.all.length > 3)
  t.same(await readAll(log), expected)
  t.same(await readAll(log, 100), expected)
  await dirs.close()
  const again = await openLogDirs(io, [folder])
  const log2 = follow(again.create('orders', 0, topicId, topicConfig()))
  t.equal(log2.state, 'open')
  t.equal(log2.logEndOffset, 200)
  t.same(await readAll(log2), expected)
  t.same(await readAll(log2, 100), expected)
  t.equal((await append(log2, batchOf(io, [record('a', 'b')]))).baseOffset, 200)
  await again.close()
})
