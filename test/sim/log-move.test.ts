// Goal: a log on its way to another directory loses nothing that was written to a kill -9, and nothing that was flushed
// to a loss of power, whenever it comes. Method: appends, moves and crashes at random on two simulated directories.
import { silentLogger } from '../../src/base/logger.ts'
import { LogDirs } from '../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import {
  append,
  batchOf,
  follow,
  logSettings,
  readAll,
  record,
  topicConfig,
  topicId,
} from '../unit/log/log-fixture.ts'
import type { SimWorld } from './sim-io.ts'
import { simulate } from './simulate.ts'

const folders = ['/a', '/b'] as const

async function open({ io, random }: SimWorld): Promise<{ dirs: LogDirs; log: PartitionLog }> {
  const dirs = await LogDirs.open(io, {
    // Whoever mounts them in another order must not find an older log.
    dirs: random.chance(0.5) ? folders : [...folders].reverse(),
    clusterId: 'c',
    brokerId: 1,
    logger: silentLogger,
    settings: logSettings,
    isCompacted: () => false,
  })
  const config = topicConfig({
    'segment.bytes': 600 + random.int(3_000),
    'file.delete.delay.ms': random.pick([0, 10, 60_000]),
  })
  return { dirs, log: follow(dirs.create('orders', 0, topicId, config)) }
}

/** One move under way, or none. */
function move({ random }: SimWorld, dirs: LogDirs, log: PartitionLog): void {
  const target = dirs.moves.directory(random.pick(folders))
  if (target) dirs.moves.start(log, target)
}

simulate('a crash while a log moves', async (world, t) => {
  const { io, random } = world
  /** Value by offset. */
  let sent = new Map<number, string | null>()
  for (let round = 0; round < 4; round++) {
    const { dirs, log } = await open(world)
    const steps = random.int(30)
    for (let step = 0; step < steps; step++) {
      if (random.chance(0.2)) move(world, dirs, log)
      const value = `v${random.int(1_000_000)}`.padEnd(1 + random.int(300), '.')
      const result = await append(log, batchOf(io, [record('k', value, io.wall.nowMs())]), {
        nowMs: io.brokerClock.nowMs(),
      })
      if (result.errorCode !== 0) t.fail(`append gives ${result.errorCode}`)
      sent.set(result.baseOffset, value)
      if (random.chance(0.1)) await log.flusher.flushAll()
      if (random.chance(0.3)) {
        await new Promise<void>((resolve) => io.timers.schedule(random.int(5), resolve))
      }
    }
    const kind = random.pick(['kill', 'power', 'stop'] as const)
    const atLeast = kind === 'power' ? log.flushedEndOffset : log.logEndOffset
    if (kind === 'stop') await dirs.close()
    else if (kind === 'kill') world.kill()
    else world.losePower()

    const { dirs: again, log: reopened } = await open(world)
    const found = new Map((await readAll(reopened)).map((one) => [one.offset, one.value]))
    for (const [offset, value] of found) {
      if (sent.get(offset) !== value) t.fail(`${kind}: another record at ${offset}`)
    }
    for (const offset of sent.keys()) {
      if (offset < atLeast && !found.has(offset)) t.fail(`${kind}: lost ${offset} of ${atLeast}`)
    }
    sent = found
    await again.close()
  }
})
