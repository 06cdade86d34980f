// Goal: compaction does not hold the event loop, however large a log is and however many producers wrote it. Method: a log
// of 300,000 records from 20,000 producers, real files and the real worker; the longest time on a processor between two
// looks at the event loop. The ceiling is generous, the figure is told.
import t from 'tap'
import { loopCpuMs } from '../../tools/loop-cpu.ts'
import {
  append,
  batchOf,
  follow,
  nodeIo,
  openLogDirs,
  record,
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

const BATCHES = 3_000
const RECORDS = 100
const PRODUCERS = 20_000
const CEILING_MS = 100

const skip = loopCpuMs() === undefined && 'this system does not tell the processor time of a thread'

t.test('a large log is compacted in short turns', { skip, timeout: 120_000 }, async (t) => {
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [temporaryFolder(t)])
  t.teardown(() => dirs.close())
  const config = topicConfig({
    'cleanup.policy': ['compact'],
    'segment.bytes': 1_000_000,
    'min.cleanable.dirty.ratio': 0,
  })
  const log = follow(dirs.create('table', 0, topicId, config))
  const fromProducers = Math.floor(PRODUCERS / BATCHES) + 1
  for (let index = 0, producerId = 0; index < BATCHES; index++) {
    const records = Array.from({ length: RECORDS }, (_, at) =>
      record(`k${(index * 37 + at) % 5_000}`, 'v'),
    )
    await append(log, batchOf(io, records))
    for (let i = 0; i < fromProducers; i++, producerId++) {
      const producer = { producerId, producerEpoch: 0, baseSequence: 0 }
      await append(log, batchOf(io, [record(`p${producerId}`, 'v')], producer))
    }
  }
  log.roll(io.brokerClock.nowMs())
  await append(log, batchOf(io, [record('tail', 'x')]))

  let longestMs = 0
  let seenMs = loopCpuMs() ?? 0
  const look = setInterval(() => {
    const nowMs = loopCpuMs() ?? 0
    longestMs = Math.max(longestMs, nowMs - seenMs)
    seenMs = nowMs
  }, 1)
  await dirs.applyCompaction()
  clearInterval(look)
  t.ok(log.cleanedOffset > BATCHES * RECORDS, 'it was compacted')
  t.comment(`the event loop was busy for ${longestMs.toFixed(1)} ms at most`)
  t.ok(longestMs < CEILING_MS, `${longestMs.toFixed(1)} ms in one turn`)
})
