import t from 'tap'
import { FileHandles, PooledFile } from '../../../src/log/file-handles.ts'
import { createSimIo } from '../../sim/sim-io.ts'

function files(limit: number, count: number) {
  const { disk } = createSimIo(1)
  const handles = new FileHandles(disk, limit)
  const all = Array.from({ length: count }, (_, i) => new PooledFile(handles, `/${i}`))
  for (const file of all) file.create()
  return { disk, handles, all }
}

t.test('no more files are open than allowed, and each can be used', (t) => {
  const { disk, handles, all } = files(3, 20)
  for (const file of all) file.use()
  t.equal(handles.openCount, 3)
  t.equal(disk.openFiles, 3)
  t.end()
})

t.test('a file that is used all the time stays open while others come and go', (t) => {
  const { all } = files(3, 20)
  const busy = all[0] as PooledFile
  const opened = busy.use()
  for (const file of all) {
    file.use()
    t.equal(busy.use(), opened)
  }
  t.end()
})

t.test('pinned files stay, and room is made for them later', async (t) => {
  const { handles, all } = files(2, 6)
  const releases: (() => void)[] = []
  const works = all.slice(0, 4).map((file) =>
    file.pinned(async (opened) => {
      await new Promise<void>((resolve) => releases.push(resolve))
      t.equal(file.use(), opened)
    }),
  )
  t.equal(handles.openCount, 4)
  for (const release of releases) release()
  await Promise.all(works)
  all[4]?.use()
  t.equal(handles.openCount, 2)
})
