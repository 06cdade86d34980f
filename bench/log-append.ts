// What the log alone can do, without sockets and protocol: `node --import tsx bench/log-append.ts [folder]`.
// Each line: appends of one shape, waiting for each turn's write; then the whole log is read back.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../src/base/logger.ts'
import { createNodeIo } from '../src/io/node-io.ts'
import { LogDirs } from '../src/log/log-dirs.ts'
import type { PartitionLog } from '../src/log/partition-log.ts'
import { buildBatch } from '../src/protocol/batch-builder.ts'
import { logSettings, topicConfig, topicId } from '../test/unit/log/log-fixture.ts'

type Shape = {
  name: string
  recordBytes: number
  records: number
  perTurn: number
  totalBytes: number
}

const shapes: Shape[] = [
  { name: '1 KB, alone', recordBytes: 1_024, records: 1, perTurn: 1, totalBytes: 20e6 },
  { name: '1 KB, 50 a turn', recordBytes: 1_024, records: 1, perTurn: 50, totalBytes: 100e6 },
  {
    name: '1 KB, batches of 16 KB',
    recordBytes: 1_024,
    records: 16,
    perTurn: 8,
    totalBytes: 400e6,
  },
  {
    name: '1 KB, batches of 1 MB',
    recordBytes: 1_024,
    records: 1_000,
    perTurn: 2,
    totalBytes: 800e6,
  },
  {
    name: '100 B, batches of 10 KB',
    recordBytes: 100,
    records: 100,
    perTurn: 10,
    totalBytes: 200e6,
  },
  {
    name: '100 B, batches of 1 MB',
    recordBytes: 100,
    records: 9_000,
    perTurn: 2,
    totalBytes: 400e6,
  },
]

const io = createNodeIo()
const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'lmq-bench-'))
const logDirs = await LogDirs.open(io, {
  dirs: [folder],
  clusterId: 'bench',
  brokerId: 1,
  logger: silentLogger,
  settings: logSettings,
})
const log = logDirs.create('bench', 0, topicId, topicConfig())
const options = {
  leaderEpoch: 0,
  nowMs: io.brokerClock.nowMs(),
  origin: 'client',
  produceVersion: 11,
} as const

for (const shape of shapes) await appendAll(log, shape)
await readAll(log)
await logDirs.close()
await io.jobs.close()
if (process.argv[2] === undefined) rmSync(folder, { recursive: true })

async function appendAll(target: PartitionLog, shape: Shape): Promise<void> {
  const value = Buffer.alloc(shape.recordBytes, 'v')
  const record = { key: null, value, timestamp: options.nowMs }
  const batch = buildBatch(
    Array.from({ length: shape.records }, () => record),
    {},
    io.crc32c,
  )
  // Two turns' worth of buffers: what is being written must not be handed in again.
  const buffers = Array.from({ length: shape.perTurn * 2 }, () => Buffer.from(batch))
  const count = Math.ceil(shape.totalBytes / batch.length)
  const started = performance.now()
  const cpu = process.cpuUsage()
  for (let done = 0; done < count; ) {
    let end = 0
    for (let inTurn = 0; inTurn < shape.perTurn && done < count; inTurn++, done++) {
      const buffer = buffers[done % buffers.length] as Buffer
      buffer.writeBigInt64BE(0n, 0)
      const result = await target.append(buffer, options)
      if (result.errorCode !== 0) throw new Error(`append gives ${result.errorCode}`)
      end = result.end
    }
    await new Promise((resolve) => target.whenWritten(end, resolve))
  }
  print(shape.name, count * batch.length, count, performance.now() - started, process.cpuUsage(cpu))
}

async function readAll(target: PartitionLog): Promise<void> {
  const upTo = target.writtenEndOffset
  const started = performance.now()
  const cpu = process.cpuUsage()
  let bytes = 0
  let reads = 0
  for (let offset = 0; offset < upTo; reads++) {
    const { records, sizeBytes, nextOffset } = await target.read(offset, 1_048_576, {
      upTo,
      minOneBatch: true,
    })
    for (const part of records) io.memory.giveBack(part)
    bytes += sizeBytes
    offset = nextOffset
  }
  print('read back, 1 MiB each', bytes, reads, performance.now() - started, process.cpuUsage(cpu))
}

function print(
  name: string,
  bytes: number,
  calls: number,
  ms: number,
  { user, system }: NodeJS.CpuUsage,
): void {
  const rate = `${Math.round(bytes / ms / 1_000)} MB/s`.padStart(10)
  const callRate = `${Math.round((calls / ms) * 1_000)} /s`.padStart(12)
  const cpu = `${((user + system) / 1_000 / (bytes / 1e6)).toFixed(2)} CPU s/GB`.padStart(18)
  console.log(`${name.padEnd(26)}${rate}${callRate}${cpu}`)
}
