// Goal: a broker's image is what the metadata log says, entry by entry.
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { EmbeddedMetadataStore } from '../../../src/cluster/embedded-metadata-store.ts'
import { encodeRecords } from '../../../src/cluster/metadata-records.ts'
import { MetadataTail } from '../../../src/cluster/metadata-tail.ts'
import { io } from './cluster-fixture.ts'
import { newId } from './machine-fixture.ts'

t.test('every entry reaches the image, one by one or many at once', async (t) => {
  const store = EmbeddedMetadataStore.open({ io, folder: undefined, logger: silentLogger })
  const leadership = await store.lead({ brokerId: 1, incarnationId: 'one' })
  if (!leadership) throw new Error('the leadership is taken')
  const tailOf = () => new MetadataTail(store, silentLogger, (error) => t.fail(String(error)))
  const following = tailOf()
  await following.start()
  const told: string[] = []
  following.onDelta(({ topicsCreated }) => told.push(...topicsCreated.keys()))
  const names: string[] = []
  for (let index = 0; index < 40; index++) {
    const name = `topic-${index}`
    names.push(name)
    const entry = encodeRecords([{ kind: 'topic', name, topicId: newId() }])
    t.equal(await store.append(leadership, index - 1, entry), index)
    await following.applied(index)
    t.equal(following.image.topics.size, index + 1)
  }
  const late = tailOf()
  await late.start()
  t.strictSame([...following.image.topics.keys()], names)
  t.strictSame([...late.image.topics.keys()], names)
  t.equal(told.length, names.length)
  for (const tail of [following, late]) await tail.close()
  await store.close()
})
