// Goal: no crash and no damage makes the metadata log lie. Method: a log of a few entries is cut and flipped at every
// byte, then opened again.
import {
  copyFile,
  cp,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { LmqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { EmbeddedMetadataStore } from '../../../src/cluster/embedded-metadata-store.ts'
import type { Leadership } from '../../../src/cluster/metadata-store.ts'
import type { Io } from '../../../src/io/io.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'

const io = createNodeIo()
const open = (folder: string, through: Io = io) =>
  EmbeddedMetadataStore.open({ io: through, folder, logger: silentLogger })

async function newFolder(test: Test): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'lmq-store-'))
  test.teardown(() => rm(root, { recursive: true, force: true }))
  return join(root, 'metadata')
}

const texts = async (store: EmbeddedMetadataStore) =>
  (await store.read(0, 1e9)).entries.map((entry) => entry.payload.toString())

async function lead(store: EmbeddedMetadataStore): Promise<Leadership> {
  const leadership = await store.lead({ brokerId: 1, incarnationId: 'x' })
  if (!leadership) throw new Error('led by another')
  return leadership
}

/** A closed log of the entries e0, e1, ... in one file; gives its path. */
async function written(folder: string, count: number): Promise<string> {
  const store = open(folder)
  const leadership = await lead(store)
  for (let at = 0; at < count; at++) {
    await store.append(leadership, at - 1, Buffer.from(`entry number ${at}`))
  }
  await store.close()
  return join(folder, `${'0'.repeat(20)}.entries`)
}

t.test('a tail torn at any byte is cut; the log goes on behind the last whole entry', async (t) => {
  const folder = await newFolder(t)
  const file = await written(folder, 3)
  const whole = await readFile(file)
  const frame = whole.length / 3
  t.equal(frame % 1, 0)
  for (let size = 0; size < whole.length; size++) {
    await writeFile(file, whole.subarray(0, size))
    const store = open(folder)
    const kept = Math.floor(size / frame)
    const found = await texts(store)
    if (found.length !== kept) t.equal(found.length, kept, `cut at ${size}`)
    const leadership = await lead(store)
    await store.append(leadership, kept - 1, Buffer.from('next'))
    await store.close()
    const again = open(folder)
    if ((await texts(again)).at(-1) !== 'next') t.fail(`not continued after a cut at ${size}`)
    await again.close()
  }
  t.pass('every byte was tried')
})

t.test('a tail of zeros, as a file system leaves it, is cut', async (t) => {
  const folder = await newFolder(t)
  const file = await written(folder, 2)
  await truncate(file, (await stat(file)).size + 5_000)
  const store = open(folder)
  t.strictSame(await texts(store), ['entry number 0', 'entry number 1'])
  await store.close()
})

t.test('a flipped bit before the last entry is refused, wherever it is', async (t) => {
  const folder = await newFolder(t)
  const file = await written(folder, 3)
  const whole = await readFile(file)
  const lastEntry = (whole.length / 3) * 2
  for (let at = 0; at < lastEntry; at++) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8))
    await writeFile(file, damaged)
    try {
      await open(folder).close()
      t.fail(`a flip at ${at} was not seen`)
    } catch (error) {
      if ((error as LmqError).code !== 'LMQ_STORE_CORRUPT') throw error
    }
    if (!(await readFile(file)).equals(damaged)) t.fail('a damaged log was changed')
  }
  t.pass('every byte was tried')
})

/** Entries 0 to 29 with snapshots at 9, 19 and 29, then three more entries. */
async function withSnapshots(folder: string): Promise<void> {
  const store = open(folder)
  const leadership = await lead(store)
  for (let at = 0; at < 33; at++) {
    await store.append(leadership, at - 1, Buffer.from(`e${at}`))
    if (at % 10 === 9) {
      await store.writeSnapshot(leadership, { index: at, payload: Buffer.from(`up to ${at}`) })
    }
  }
  await store.close()
}

t.test('two snapshots stay, and what the older one needs', async (t) => {
  const folder = await newFolder(t)
  await withSnapshots(folder)
  const names = (await readdir(folder)).map((name) => name.replace(/^0+(?=\d)/, '')).sort()
  t.strictSame(names, ['19.snapshot', '20.entries', '29.snapshot', '30.entries'])
})

t.test('a damaged snapshot: the one before it and its entries lead to the same end', async (t) => {
  const folder = await newFolder(t)
  await withSnapshots(folder)
  await writeFile(join(folder, '00000000000000000029.snapshot'), 'rot')
  const store = open(folder)
  const { snapshot, entries } = await store.read(0, 1e9)
  t.equal(snapshot?.index, 19)
  t.equal(entries.length, 13)
  t.equal(entries.at(-1)?.payload.toString(), 'e32')
  const leadership = await lead(store)
  await store.writeSnapshot(leadership, { index: 32, payload: Buffer.from('up to 32') })
  await store.close()
  const again = open(folder)
  t.equal((await again.read(0, 1e9)).snapshot?.index, 32)
  await again.close()
})

t.test('missing or foreign files are refused', async (t) => {
  const folder = await newFolder(t)
  await withSnapshots(folder)
  const other = await newFolder(t)
  await withSnapshots(other)

  await cp(folder, `${folder}-gap`, { recursive: true })
  await rm(join(`${folder}-gap`, '00000000000000000029.snapshot'))
  await rm(join(`${folder}-gap`, '00000000000000000020.entries'))
  t.throws(() => open(`${folder}-gap`), { code: 'LMQ_STORE_CORRUPT' })

  // Entries of another history behind our snapshot: same indexes, other content before them.
  const store = open(other)
  const leadership = await lead(store)
  await store.append(leadership, 32, Buffer.from('foreign'))
  await store.writeSnapshot(leadership, { index: 33, payload: Buffer.from('s') })
  await store.append(leadership, 33, Buffer.from('foreign, too'))
  await store.close()
  const ours = open(folder)
  const led = await lead(ours)
  await ours.append(led, 32, Buffer.from('ours'))
  await ours.writeSnapshot(led, { index: 33, payload: Buffer.from('s') })
  await ours.close()
  const name = '00000000000000000034.entries'
  await copyFile(join(other, name), join(folder, name))
  t.throws(() => open(folder), { code: 'LMQ_STORE_CORRUPT' })
})

t.test('appends that arrive together leave in one write and one flush', async (t) => {
  const folder = await newFolder(t)
  let flushes = 0
  const counting: Io = {
    ...io,
    disk: {
      ...io.disk,
      openSync: (path, mode) => {
        const file = io.disk.openSync(path, mode)
        const flush = file.flush.bind(file)
        file.flush = () => {
          flushes++
          return flush()
        }
        return file
      },
    },
  }
  const store = open(folder, counting)
  const leadership = await lead(store)
  const all = Array.from({ length: 100 }, (_, at) =>
    store.append(leadership, at - 1, Buffer.from(`e${at}`)),
  )
  t.strictSame(
    await Promise.all(all),
    all.map((_, at) => at),
  )
  t.ok(flushes <= 2, `${flushes} flushes`)
  await store.close()
})

t.test('after a failed flush nothing is acknowledged any more', async (t) => {
  const folder = await newFolder(t)
  const failing: Io = {
    ...io,
    disk: {
      ...io.disk,
      openSync: (path, mode) => {
        const file = io.disk.openSync(path, mode)
        file.flush = async () => {
          throw new Error('EIO')
        }
        return file
      },
    },
  }
  const store = open(folder, failing)
  const leadership = await lead(store)
  await t.rejects(store.append(leadership, -1, Buffer.from('a')), { code: 'LMQ_DISK_FLUSH' })
  t.notOk(leadership.held)
  await t.rejects(store.append(leadership, 0, Buffer.from('b')), { code: 'LMQ_DISK_FLUSH' })
  await t.rejects(store.lead({ brokerId: 1, incarnationId: 'y' }), { code: 'LMQ_DISK_FLUSH' })
  t.strictSame(await texts(store), [])
  await store.close()
})

t.test('without a folder the log is in memory only', async (t) => {
  const store = EmbeddedMetadataStore.open({ io, folder: undefined, logger: silentLogger })
  const leadership = await lead(store)
  await store.append(leadership, -1, Buffer.from('a'))
  await store.writeSnapshot(leadership, { index: 0, payload: Buffer.from('s') })
  t.equal((await store.read(0, 100)).snapshot?.index, 0)
  await store.close()
})
