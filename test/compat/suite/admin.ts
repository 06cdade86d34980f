// Admin calls: topics, partitions, settings, groups, offsets, records.
import type { Test } from 'tap'
import { type Context, until } from '../harness/context.ts'
import type { ErrorNames, Offsets } from '../harness/driver.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

export async function admin(context: Context): Promise<void> {
  await context.feature('create and delete topics', (t) => topics(t, context))
  await context.feature('add partitions', (t) => morePartitions(t, context))
  await context.feature('topic settings', (t) => topicSettings(t, context))
  await context.feature('broker settings', (t) => brokerSettings(t, context))
  await context.feature('list and describe groups', (t) => describeGroups(t, context))
  await context.feature('delete groups', (t) => deleteGroups(t, context))
  await context.feature('reset group offsets', (t) => resetOffsets(t, context))
  await context.feature('delete group offsets', (t) => deleteGroupOffsets(t, context))
  await context.feature('delete records', (t) => deleteRecords(t, context))
  await context.feature('offsets by time', (t) => offsetsByTime(t, context))
  await context.feature('offset of highest timestamp', (t) => highestTimestamp(t, context))
  await context.feature('describe cluster', (t) => describeCluster(t, context))
}

async function results({ driver }: Context, command: string, args: object) {
  return ((await driver.call(command, args)) as ErrorNames).results
}

async function made(context: Context, partitions = 1, configs = {}): Promise<string> {
  const name = context.topic()
  const wanted = { name, partitions, replicationFactor: 1, configs }
  await context.driver.call('createTopics', { topics: [wanted] })
  return name
}

async function partitionsOf({ driver }: Context, name: string): Promise<number | undefined> {
  const { topics } = (await driver.call('listTopics')) as { topics: Record<string, number> }
  return topics[name]
}

async function produceTo({ driver }: Context, topic: string, times: readonly number[]) {
  const records = times.map((timestampMs, index) => ({
    key: null,
    value: base64(String(index)),
    partition: 0,
    timestampMs,
  }))
  await driver.call('produce', { topic, records })
}

async function offsetsOf({ driver }: Context, topic: string, at: string | number) {
  return ((await driver.call('listOffsets', { topic, at })) as { offsets: Offsets }).offsets
}

async function topics(t: Test, context: Context): Promise<void> {
  const name = context.topic()
  const wanted = { name, partitions: 4, replicationFactor: 1 }
  t.same(await results(context, 'createTopics', { topics: [wanted] }), { [name]: null })
  t.equal(await partitionsOf(context, name), 4)
  const again = await results(context, 'createTopics', { topics: [wanted] })
  t.same(again, { [name]: 'TOPIC_ALREADY_EXISTS' })
  const bad = { ...wanted, name: 'not/a/name' }
  const refused = await results(context, 'createTopics', { topics: [bad] })
  t.match(refused['not/a/name'], /INVALID_TOPIC|TOPIC_EXCEPTION/)
  const none = { ...wanted, name: context.topic(), partitions: 0 }
  const noPartitions = await results(context, 'createTopics', { topics: [none] })
  t.same(noPartitions, { [none.name]: 'INVALID_PARTITIONS' })
  const copies = { ...wanted, name: context.topic(), replicationFactor: 30 }
  const tooMany = await results(context, 'createTopics', { topics: [copies] })
  t.same(tooMany, { [copies.name]: 'INVALID_REPLICATION_FACTOR' })
  t.same(await results(context, 'deleteTopics', { names: [name] }), { [name]: null })
  await until(
    'the topic is gone',
    () => partitionsOf(context, name),
    (count) => count === undefined,
  )
  const unknown = await results(context, 'deleteTopics', { names: [name] })
  t.match(unknown[name], /UNKNOWN_TOPIC_OR_PART(ITION)?/)
}

async function morePartitions(t: Test, context: Context): Promise<void> {
  const name = await made(context, 2)
  t.same(await results(context, 'createPartitions', { topic: name, total: 5 }), { [name]: null })
  await until(
    'five partitions',
    () => partitionsOf(context, name),
    (count) => count === 5,
  )
  const fewer = await results(context, 'createPartitions', { topic: name, total: 3 })
  t.same(fewer, { [name]: 'INVALID_PARTITIONS' })
  const records = [{ key: null, value: base64('new'), partition: 4 }]
  const produced = await context.driver.call('produce', { topic: name, records })
  t.same(produced['outcomes'], [{ partition: 4, offset: 0 }])
}

async function topicSettings(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const name = await made(context, 1, { 'retention.ms': '3600000' })
  const read = async () => {
    const answer = await driver.call('describeConfigs', { type: 'topic', name })
    return answer['configs'] as Record<string, string>
  }
  const before = await read()
  t.equal(before['retention.ms'], '3600000')
  t.equal(before['cleanup.policy'], 'delete')
  t.equal(before['segment.bytes'], '1073741824')
  const set = { 'retention.ms': '7200000', 'cleanup.policy': 'compact' }
  await driver.call('alterConfigs', { type: 'topic', name, set })
  const after = await until('settings change', read, (all) => all['cleanup.policy'] === 'compact')
  t.equal(after['retention.ms'], '7200000')
  const bad = { type: 'topic', name, set: { 'retention.ms': 'soon' } }
  const [refused] = Object.values(await results(context, 'alterConfigs', bad))
  t.equal(refused, 'INVALID_CONFIG')
}

async function brokerSettings(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const { controller } = await driver.call('describeCluster')
  const name = String(controller)
  const answer = await driver.call('describeConfigs', { type: 'broker', name })
  const configs = answer['configs'] as Record<string, string>
  t.ok(Object.keys(configs).length > 50, 'many settings are described')
  t.ok(configs['num.partitions'])
  t.equal(configs['auto.create.topics.enable'], 'true')
}

/** A group with committed offsets and no members: 10 of 20 records are read. */
async function quietGroup(context: Context): Promise<{ group: string; topic: string }> {
  const topic = await made(context)
  const group = `g-${topic}`
  await produceTo(
    context,
    topic,
    Array.from({ length: 20 }, () => Date.now()),
  )
  await context.driver.call('setGroupOffsets', { group, topic, offsets: { 0: 10 } })
  return { group, topic }
}

async function committed({ driver }: Context, group: string, topic: string) {
  const answer = await driver.call('groupOffsets', { group })
  return (answer['offsets'] as Record<string, Offsets>)[topic] ?? {}
}

async function describeGroups(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const topic = await made(context)
  const group = `g-${topic}`
  const member = `${topic}-a`
  await driver.call('join', { member, group, topics: [topic] })
  const describe = () => driver.call('describeGroup', { group })
  const stable = await until(
    'the group is stable',
    describe,
    (found) => found['state'] === 'stable',
  )
  t.equal(stable['members'], 1)
  const { groups } = await driver.call('listGroups')
  t.ok((groups as string[]).includes(group))
  await driver.call('leave', { member })
  await until(
    'the group has no members',
    describe,
    (found) => found['members'] === 0 || found['state'] === 'dead',
  )
}

async function deleteGroups(t: Test, context: Context): Promise<void> {
  const { group } = await quietGroup(context)
  t.same(await results(context, 'deleteGroups', { groups: [group] }), { [group]: null })
  const { groups } = await context.driver.call('listGroups')
  t.notOk((groups as string[]).includes(group))
  const again = await results(context, 'deleteGroups', { groups: [group] })
  t.same(again, { [group]: 'GROUP_ID_NOT_FOUND' })
}

async function resetOffsets(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const { group, topic } = await quietGroup(context)
  t.same(await committed(context, group, topic), { 0: 10 })
  await driver.call('setGroupOffsets', { group, topic, offsets: { 0: 3 } })
  t.same(await committed(context, group, topic), { 0: 3 })
}

async function deleteGroupOffsets(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const { group, topic } = await quietGroup(context)
  await driver.call('deleteGroupOffsets', { group, topic, partitions: [0] })
  t.same(await committed(context, group, topic), {})
}

async function deleteRecords(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const topic = await made(context)
  await produceTo(
    context,
    topic,
    Array.from({ length: 20 }, () => Date.now()),
  )
  const answer = await driver.call('deleteRecords', { topic, offsets: { 0: 12 } })
  if (answer['lows']) t.same(answer['lows'], { 0: 12 })
  t.same(await offsetsOf(context, topic, 'earliest'), { 0: 12 })
  t.same(await offsetsOf(context, topic, 'latest'), { 0: 20 })
  const { records } = await driver.call('consume', { topic })
  t.equal((records as unknown[]).length, 8)
}

async function offsetsByTime(t: Test, context: Context): Promise<void> {
  const topic = await made(context)
  const start = 1_700_000_000_000
  await produceTo(context, topic, [start, start + 10, start + 20, start + 30])
  t.same(await offsetsOf(context, topic, 'earliest'), { 0: 0 })
  t.same(await offsetsOf(context, topic, 'latest'), { 0: 4 })
  t.same(await offsetsOf(context, topic, start), { 0: 0 })
  t.same(await offsetsOf(context, topic, start + 11), { 0: 2 })
  const [late] = Object.values(await offsetsOf(context, topic, start + 31))
  t.ok(late === -1 || late === 4, 'none, or the end where the client says it so')
}

async function highestTimestamp(t: Test, context: Context): Promise<void> {
  const topic = await made(context)
  const start = 1_700_000_000_000
  await produceTo(context, topic, [start, start + 500, start + 20])
  t.same(await offsetsOf(context, topic, 'max'), { 0: 1 })
}

async function describeCluster(t: Test, context: Context): Promise<void> {
  const found = await context.driver.call('describeCluster')
  t.equal(typeof found['clusterId'], 'string')
  t.ok(Number(found['brokers']) >= 1)
  t.ok(Number(found['controller']) >= 0)
}
