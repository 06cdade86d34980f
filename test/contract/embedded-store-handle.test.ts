// Goal: several brokers share one embedded store, and what one of them closes is its own part only.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { EmbeddedMetadataStore } from '../../src/cluster/embedded-metadata-store.ts'
import { createNodeIo } from '../../src/io/node-io.ts'
import { metadataStoreContract } from './metadata-store.ts'

const io = createNodeIo()

async function temporaryFolder(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'lmq-store-')), 'metadata')
}

metadataStoreContract(t, async () => {
  const folder = await temporaryFolder()
  const open = () => EmbeddedMetadataStore.open({ io, folder, logger: silentLogger })
  let shared = open()
  const handles = [shared.share()]
  const closeAll = async () => {
    for (const handle of handles.splice(0)) await handle.close()
  }
  const share = () => {
    const handle = shared.share()
    handles.push(handle)
    return handle
  }
  return {
    store: handles[0] as (typeof handles)[number],
    second: async () => share(),
    reopen: async () => {
      await closeAll()
      shared = open()
      return share()
    },
    remove: async () => {
      await closeAll()
      await rm(join(folder, '..'), { recursive: true })
    },
  }
})

t.test('a closed handle gives up what its broker had, the last one closes the files', async (t) => {
  const folder = await temporaryFolder()
  const shared = EmbeddedMetadataStore.open({ io, folder, logger: silentLogger })
  const one = shared.share()
  const two = shared.share()
  await one.join({ brokerId: 1, incarnationId: 'one', address: 'a:1' })
  await two.join({ brokerId: 2, incarnationId: 'two', address: 'b:2' })
  const leadership = await one.lead({ brokerId: 1, incarnationId: 'one' })
  t.ok(leadership?.held)
  let news = 0
  one.watch(() => news++)
  await one.close()
  await one.close()
  const newsWhenClosed = news
  t.notOk(leadership?.held)
  t.strictSame(
    (await two.members()).map(({ brokerId }) => brokerId),
    [2],
  )
  await t.rejects(one.head(), { code: 'LMQ_SHUTTING_DOWN' })
  await t.rejects(one.read(0, 1), { code: 'LMQ_SHUTTING_DOWN' })
  const next = await two.lead({ brokerId: 2, incarnationId: 'two' })
  if (!next) throw new Error('the leadership is taken')
  await two.append(next, -1, Buffer.from('a'))
  t.equal(news, newsWhenClosed, 'a closed handle hears nothing')
  await two.close()
  t.throws(() => shared.share(), { code: 'LMQ_SHUTTING_DOWN' })

  const again = EmbeddedMetadataStore.open({ io, folder, logger: silentLogger })
  t.equal((await again.head()).index, 0)
  await again.close()
  await rm(join(folder, '..'), { recursive: true })
})
