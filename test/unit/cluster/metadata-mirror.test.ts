// Goal: a broker's copy of the metadata log is after a restart what it was, or an older state of it, and never another log.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { MetadataMirror, openMirror } from '../../../src/cluster/metadata-mirror.ts'
import type { DiskFile, Io } from '../../../src/io/io.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'

const io = createNodeIo()

async function newFolder(t: Test): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'lmq-mirror-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  return join(root, 'metadata')
}

const entry = (index: number) => ({
  index,
  controllerEpoch: 1 + Math.floor(index / 10),
  payload: Buffer.from(`entry ${index}`),
})
const texts = (mirror: MetadataMirror) => {
  const { snapshot, entries } = mirror.read(0, 1e9)
  return [snapshot?.payload.toString(), ...entries.map(({ payload }) => payload.toString())]
}

t.test('entries and snapshots are there after a restart, with their digests', async (t) => {
  const folder = await newFolder(t)
  const mirror = MetadataMirror.open(io, folder, silentLogger)
  t.equal(mirror.lastIndex, -1)
  for (let index = 0; index < 25; index++) {
    t.equal(mirror.digestOf(entry(index)), mirror.digestOf(entry(index)))
    mirror.append(entry(index))
    if (index % 8 !== 7) continue
    const digest = mirror.digestAt(index - 1) ?? 0
    mirror.takeSnapshot({ index: index - 1, payload: Buffer.from(`up to ${index - 1}`) }, 2, digest)
  }
  const expected = texts(mirror)
  t.strictSame(expected, ['up to 22', 'entry 23', 'entry 24'])
  await mirror.close()
  const again = MetadataMirror.open(io, folder, silentLogger)
  t.strictSame(texts(again), expected)
  t.equal(again.lastIndex, 24)
  t.equal(again.controllerEpoch, 3)
  t.equal(again.lastDigest, mirror.lastDigest)
  t.equal(again.digestAt(22), mirror.digestAt(22))
  t.equal(again.digestAt(3), undefined)
  await again.close()
})

for (const isCut of [false, true]) {
  const when = isCut ? ', also when a crash came before its entry file was made' : ''
  t.test(`a snapshot from further on takes the place of everything${when}`, async (t) => {
    const folder = await newFolder(t)
    const mirror = MetadataMirror.open(io, folder, silentLogger)
    for (let index = 0; index < 3; index++) mirror.append(entry(index))
    mirror.takeSnapshot({ index: 99, payload: Buffer.from('up to 99') }, 9, 4711)
    t.equal(mirror.lastIndex, 99)
    t.equal(mirror.lastDigest, 4711)
    if (!isCut) mirror.append({ index: 100, controllerEpoch: 10, payload: Buffer.from('100') })
    await mirror.close()
    const newFile = join(folder, `${'100'.padStart(20, '0')}.entries`)
    if (isCut) await rm(newFile)
    const again = MetadataMirror.open(io, folder, silentLogger)
    t.strictSame(texts(again), isCut ? ['up to 99'] : ['up to 99', '100'])
    if (isCut) again.append({ index: 100, controllerEpoch: 10, payload: Buffer.from('100') })
    again.append({ index: 101, controllerEpoch: 10, payload: Buffer.from('101') })
    await again.close()
    const third = MetadataMirror.open(io, folder, silentLogger)
    t.strictSame(texts(third), ['up to 99', '100', '101'])
    t.equal(third.controllerEpoch, 10)
    await third.close()
  })
}

t.test('a damaged copy is given up and read anew', async (t) => {
  const folder = await newFolder(t)
  const mirror = MetadataMirror.open(io, folder, silentLogger)
  for (let index = 0; index < 3; index++) mirror.append(entry(index))
  await mirror.close()
  const [name = ''] = await readdir(folder)
  const file = join(folder, name)
  const content = io.disk.readFileSync(file)
  content[40] = (content[40] ?? 0) ^ 1
  await writeFile(file, content)
  t.throws(() => MetadataMirror.open(io, folder, silentLogger), { code: 'LMQ_STORE_CORRUPT' })
  const empty = openMirror(io, folder, silentLogger)
  t.equal(empty.lastIndex, -1)
  await empty.close()
})

t.test('a disk that fails costs the copy, not the broker', async (t) => {
  const folder = await newFolder(t)
  const failing: Io = {
    ...io,
    disk: {
      ...io.disk,
      openSync(path, mode) {
        return new Proxy(io.disk.openSync(path, mode), {
          get(file, name: keyof DiskFile) {
            if (name === 'writeSync') {
              return () => {
                throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
              }
            }
            const member = file[name]
            return typeof member === 'function' ? member.bind(file) : member
          },
        })
      },
    },
  }
  const told: string[] = []
  const logger = {
    ...silentLogger,
    error: (_: unknown, message: string) => void told.push(message),
  }
  const mirror = MetadataMirror.open(failing, folder, logger)
  for (let index = 0; index < 3; index++) mirror.append(entry(index))
  await mirror.written()
  for (let index = 3; index < 6; index++) mirror.append(entry(index))
  t.equal(texts(mirror).length, 7)
  await mirror.close()
  t.equal(told.length, 1)
})
