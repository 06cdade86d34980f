// Classic consumer groups: sharing, rebalances, offsets that outlive a member.
import type { Test } from 'tap'
import { type Context, until } from '../harness/context.ts'
import { type Incoming, Unsupported } from '../harness/driver.ts'

const partitionCount = 6
const recordsEach = 20

type Place = [string, number]

export async function groups(context: Context): Promise<void> {
  await context.feature('group shares partitions', (t) => sharing(t, context, 'range'))
  await context.feature('cooperative rebalance', (t) => sharing(t, context, 'cooperative'))
  await context.feature('committed offsets', (t) => resuming(t, context))
  await context.feature('static membership', (t) => staticMember(t, context))
}

async function filledTopic({ driver, topic }: Context): Promise<string> {
  const name = topic()
  await driver.call('createTopics', {
    topics: [{ name, partitions: partitionCount, replicationFactor: 1 }],
  })
  await fill(driver, name, 'first')
  return name
}

async function fill(driver: Context['driver'], topic: string, word: string): Promise<void> {
  const records = Array.from({ length: partitionCount * recordsEach }, (_, index) => ({
    key: null,
    value: Buffer.from(`${word} ${index}`).toString('base64'),
    partition: Math.floor(index / recordsEach),
  }))
  await driver.call('produce', { topic, records })
}

async function assignments({ driver }: Context, members: readonly string[]): Promise<Place[][]> {
  const all: Place[][] = []
  for (const member of members) {
    const { partitions } = (await driver.call('assignment', { member })) as { partitions: Place[] }
    all.push(partitions)
  }
  return all
}

/** Every partition has one owner, and every member has some. */
function complete(places: readonly Place[][]): boolean {
  const numbers = places.flat().map(([, partition]) => partition)
  return (
    numbers.length === partitionCount &&
    new Set(numbers).size === partitionCount &&
    places.every((each) => each.length > 0)
  )
}

async function sharing(t: Test, context: Context, assignor: string): Promise<void> {
  const { driver } = context
  const topic = await filledTopic(context)
  const group = `g-${topic}`
  const join = (member: string) => driver.call('join', { member, group, topics: [topic], assignor })
  const settled = (members: readonly string[]) =>
    until(`${members.length} members share`, () => assignments(context, members), complete)
  const [first, second] = [`${topic}-a`, `${topic}-b`]

  await join(first)
  await settled([first])
  const read = await received(context, [first], partitionCount * recordsEach)
  t.equal(new Set(read.map((each) => `${each.partition}:${each.offset}`)).size, read.length)
  await driver.call('commit', { member: first })

  await join(second)
  await settled([first, second])
  await fill(driver, topic, 'second')
  const again = await received(context, [first, second], partitionCount * recordsEach)
  t.ok(
    again.every((each) => textOf(each).startsWith('second')),
    'nothing committed is read again',
  )

  await driver.call('leave', { member: first })
  await settled([second])
  await driver.call('leave', { member: second })
  t.pass('the partitions of a member that left went to the other')
}

const textOf = (record: Incoming) => Buffer.from(record.value ?? '', 'base64').toString()

/** What the members have read, once it is at least `count` records that were not read before. */
async function received(
  { driver }: Context,
  members: readonly string[],
  count: number,
): Promise<Incoming[]> {
  const records: Incoming[] = []
  const take = async () => {
    for (const member of members) {
      const taken = (await driver.call('take', { member })) as { records: Incoming[] }
      records.push(...taken.records)
    }
    return records.length
  }
  await until(`${count} records are read`, take, (length) => length >= count)
  return records
}

async function resuming(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const topic = await filledTopic(context)
  const group = `g-${topic}`
  const member = `${topic}-a`
  await driver.call('join', { member, group, topics: [topic] })
  await received(context, [member], partitionCount * recordsEach)
  await driver.call('commit', { member })
  await driver.call('leave', { member })

  const { offsets } = (await driver.call('groupOffsets', { group })) as {
    offsets: Record<string, Record<string, number>>
  }
  const expected = Object.fromEntries(
    Array.from({ length: partitionCount }, (_, partition) => [String(partition), recordsEach]),
  )
  t.same(offsets[topic], expected)

  await fill(driver, topic, 'second')
  await driver.call('join', { member, group, topics: [topic] })
  const read = await received(context, [member], partitionCount * recordsEach)
  t.equal(read.length, partitionCount * recordsEach)
  t.ok(read.every((each) => textOf(each).startsWith('second')))
  await driver.call('leave', { member })
}

/** @returns undefined where the client cannot tell */
async function membersOf({ driver }: Context, group: string): Promise<number | undefined> {
  try {
    return (await driver.call('describeGroup', { group }))['members'] as number
  } catch (error) {
    if (error instanceof Unsupported) return undefined
    throw error
  }
}

/** A static member that comes back in time gets its partitions again, with no rebalance for the other. */
async function staticMember(t: Test, context: Context): Promise<void> {
  const { driver } = context
  const topic = await filledTopic(context)
  const group = `g-${topic}`
  const [first, second] = [`${topic}-a`, `${topic}-b`]
  const join = (member: string) =>
    driver.call('join', {
      member,
      group,
      topics: [topic],
      instance: member,
      sessionTimeoutMs: 30_000,
    })
  const read = () => assignments(context, [first, second])

  await join(first)
  await join(second)
  const before = await until('two static members share', read, complete)
  await driver.call('leave', { member: second })
  const members = await membersOf(context, group)
  t.equal(members ?? 2, 2, 'a static member that is gone stays a member')
  await join(second)
  const after = await until('the static member is back', read, complete)
  t.same(after, before)
  await driver.call('leave', { member: second })
  await driver.call('leave', { member: first })
}
