import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { EmbeddedMetadataStore } from '../../src/cluster/embedded-metadata-store.ts'
import { createNodeIo } from '../../src/io/node-io.ts'
import { metadataStoreContract } from './metadata-store.ts'

const io = createNodeIo()

metadataStoreContract(t, async () => {
  const folder = join(await mkdtemp(join(tmpdir(), 'lmq-store-')), 'metadata')
  const open = () => EmbeddedMetadataStore.open({ io, folder, logger: silentLogger })
  let store = open()
  return {
    store,
    second: async () => store,
    reopen: async () => {
      await store.close()
      store = open()
      return store
    },
    remove: async () => {
      await store.close()
      await rm(join(folder, '..'), { recursive: true })
    },
  }
})
