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

t.test('half of what the system allows is left to others', (t) => {
  const { disk } = createSimIo(1)
  const handles = new FileHandles(disk, 100, 20)
  for (let i = 0; i < 30; i++) new PooledFile(handles, `/${i}`).create()
  t.equal(handles.openCount, 10)
  t.end()
})

t.test('where the system has no more files to give, others are closed and fewer are held', (t) => {
  const { disk } = createSimIo(1)
  let allowed = 12
  const scarce = new Proxy(disk, {
    get(target, name) {
      if (name === 'openSync' && disk.openFiles >= allowed) {
        throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const handles = new FileHandles(scarce, 100)
  const all = Array.from({ length: 40 }, (_, i) => new PooledFile(handles, `/${i}`))
  for (const file of all) {
    file.create()
    t.ok(disk.openFiles <= allowed)
  }
  t.equal(handles.openCount, 6, 'and not as many as there may be again')
  allowed = 0
  for (const file of all) file.close()
  t.throws(() => all[0]?.use(), { code: 'EMFILE' }, 'nothing is left to close')
  t.end()
})
