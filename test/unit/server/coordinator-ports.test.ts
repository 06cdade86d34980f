// Goal: a coordinator that begins to load while the last records are on their way to the file loads them, too.
import t from 'tap'
import { OFFSETS_TOPIC } from '../../../src/coordinator/ports.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { coordinatorLog } from '../../../src/server/coordinator-ports.ts'
import { io, openCluster, tempFolder } from '../cluster/cluster-fixture.ts'
import { defaults, topic } from '../cluster/machine-fixture.ts'

t.test('what is appended and not yet written is loaded', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  t.teardown(() => cluster.close())
  const topics = [topic(OFFSETS_TOPIC)]
  await cluster.controller.createTopics({ topics, validateOnly: false, defaults })
  const log = coordinatorLog(cluster.partitions)
  const batch = (text: string) => {
    const bytes = Buffer.from(text)
    return buildBatch([{ key: bytes, value: bytes, timestamp: 1_000 }], {}, io.crc32c)
  }
  log.append(0, batch('a commit'), () => {})
  const found: string[] = []
  await log.load(0, 1_000_000, async (piece) => {
    found.push(piece.includes('a commit') ? 'a commit' : 'something else')
  })
  t.same(found, ['a commit'])
})
