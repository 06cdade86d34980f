import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { AutoTopicCreation } from '../../../src/cluster/auto-topic-creation.ts'
import type { CreateTopicsCommand, NewTopic } from '../../../src/cluster/topic-commands.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { type OpenCluster, openCluster, tempFolder } from './cluster-fixture.ts'

/** Counts the commands that reach the controller. */
function creationOf(cluster: OpenCluster, brokersMayJoin = () => false) {
  const asked: NewTopic[] = []
  const controller = {
    createTopics: (command: Omit<CreateTopicsCommand, 'topicIds'>) => {
      asked.push(...command.topics)
      return cluster.controller.createTopics(command)
    },
  }
  const { image, settings } = cluster
  const creation = new AutoTopicCreation({
    controller,
    image,
    config: settings.config,
    logger: silentLogger,
    brokersMayJoin,
  })
  const create = async (...topics: string[]) =>
    [...(await creation.create(topics))].map(([name, code]) => `${name} ${errorName(code)}`)
  return { asked, create }
}

t.test('many ask, one topic is made', async (t) => {
  const cluster = await openCluster(await tempFolder(t), { texts: { 'num.partitions': '4' } })
  const { asked, create } = creationOf(cluster)
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) => create('a', `b${at % 2}`, 'a')),
  )
  t.strictSame(answers[0], ['a NONE', 'b0 NONE'])
  t.equal(asked.length, 3)
  t.equal(cluster.image.topic('a')?.partitions.length, 4)
  t.strictSame(await create('a'), ['a NONE'], 'one that is there costs nothing')
  t.equal(asked.length, 3)
  await cluster.close()
})

t.test('what cannot be made: final for a bad name, to be asked again for all else', async (t) => {
  const cluster = await openCluster(await tempFolder(t), {
    texts: { 'default.replication.factor': '3' },
  })
  const { create } = creationOf(cluster)
  t.strictSame(await create('bad name', 'a'), [
    'bad name INVALID_TOPIC_EXCEPTION',
    'a UNKNOWN_TOPIC_OR_PARTITION',
  ])
  await cluster.controller.close()
  t.strictSame(await create('b'), ['b UNKNOWN_TOPIC_OR_PARTITION'])
  await cluster.close()
})

t.test('internal topics have their own settings', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  const { create } = creationOf(cluster)
  const names = ['__consumer_offsets', '__transaction_state', '__share_group_state']
  t.strictSame(
    await create(...names),
    names.map((name) => `${name} NONE`),
  )
  for (const name of names) t.equal(cluster.image.topic(name)?.partitions.length, 50)
  const own = (name: string) => Object.fromEntries(cluster.image.configs(2, name))
  t.strictSame(own('__consumer_offsets'), {
    'cleanup.policy': 'compact',
    'compression.type': 'producer',
    'segment.bytes': '104857600',
  })
  t.match(own('__transaction_state'), {
    'cleanup.policy': 'compact',
    'compression.type': 'uncompressed',
    'unclean.leader.election.enable': 'false',
  })
  t.match(own('__share_group_state'), { 'cleanup.policy': 'delete', 'retention.ms': '-1' })
  await cluster.close()
})

t.test('what coordinators need waits for brokers that may still join', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  let mayJoin = true
  const { asked, create } = creationOf(cluster, () => mayJoin)
  t.strictSame(await create('__consumer_offsets', 'a'), [
    '__consumer_offsets UNKNOWN_TOPIC_OR_PARTITION',
    'a NONE',
  ])
  t.equal(asked.length, 1)
  mayJoin = false
  t.strictSame(await create('__consumer_offsets'), ['__consumer_offsets NONE'])
  t.equal(cluster.image.partition('__consumer_offsets', 0)?.replicas.length, 1)
  await cluster.close()
})
