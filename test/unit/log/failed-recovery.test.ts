// Goal: a broker whose disks are all failing does not start, whenever they begin to fail.
import t from 'tap'
import { diskError } from '../../sim/sim-disk.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import {
  append,
  batchOf,
  follow,
  openLogDirs,
  record,
  topicConfig,
  topicId,
} from './log-fixture.ts'

t.test('a start fails when no directory is left after the recovery', async (t) => {
  const world = createSimIo(1)
  const { io, disk } = world
  await world.run(async () => {
    const dirs = await openLogDirs(io, ['/a', '/b'])
    for (const partitionIndex of [0, 1]) {
      const log = follow(dirs.create('orders', partitionIndex, topicId, topicConfig()))
      await append(log, batchOf(io, [record('a', 'b')]))
    }
    world.kill()
  })
  const isInside = (path: string, folder: string) => path.startsWith(`${folder}/orders-`)
  await world.run(async () => {
    disk.fault = (_call, path) =>
      isInside(path, '/a') || isInside(path, '/b') ? diskError('EIO', path) : undefined
    await t.rejects(openLogDirs(io, ['/a', '/b']), { code: 'LMQ_LOG_DIR_OFFLINE' })
    disk.fault = (_call, path) => (isInside(path, '/a') ? diskError('EIO', path) : undefined)
    const dirs = await openLogDirs(io, ['/a', '/b'])
    const offline = dirs.directories.filter(({ isOffline }) => isOffline)
    t.same(
      offline.map(({ path }) => path),
      ['/a'],
      'one is enough to start with',
    )
    await dirs.close()
  })
})
