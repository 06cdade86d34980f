import type { Test } from 'tap'
import type { Session } from './session.ts'

/** TopicCommand in all its views and with what it refuses. */
export async function topics(t: Test, session: Session): Promise<void> {
  const same = (args: string, step = {}) => session.same(t, 'TopicCommand', args, step)
  await same('--list')
  await same('--create --topic plain --partitions 3 --config retention.ms=-1')
  await same('--describe --topic plain', { until: /PartitionCount: 3/ })
  await same('--create --topic plain')
  await same('--create --topic plain --if-not-exists')
  await same('--create --topic defaults')
  await same('--describe --topic defaults', { until: /PartitionCount/ })
  await same('--create --topic placed --replica-assignment 1,1')
  await same('--create --topic misplaced --replica-assignment 7')
  await same('--create --topic twice --replica-assignment 1:1')
  await same('--create --topic many --replication-factor 2')
  await same('--create --topic none --partitions 0')
  await same('--create --topic bad/name')
  await same('--create --topic with.dot')
  await same('--create --topic with_dot')
  await same('--create --topic wrong --config no.such=1')
  await same('--create --topic wrong --config retention.ms=soon')
  await same(
    '--create --topic set --config cleanup.policy=compact,delete --config segment.bytes=1048576',
  )
  await same('--describe --topic set', { until: /PartitionCount/ })
  await same('--describe', { sorted: true })
  await same('--describe --topics-with-overrides', { sorted: true })
  await same('--describe --under-replicated-partitions')
  await same('--describe --unavailable-partitions')
  await same('--describe --under-min-isr-partitions')
  await same('--describe --at-min-isr-partitions', { sorted: true })
  await same('--describe --topic pla.* --partition-size-limit-per-response 2', { sorted: true })
  await same('--describe --topic-id AAAAAAAAAAAAAAAAAAAAAA', { sorted: true })
  await same('--describe --topic-id 0A0A0A0A0A0A0A0A0A0A0A')
  await describeById(t, session)
  await same('--describe --topic missing')
  await same('--describe --topic missing --if-exists')
  await same('--alter --topic plain --partitions 5')
  await same('--describe --topic plain', { until: /PartitionCount: 5/ })
  await same('--alter --topic plain --partitions 5')
  await same('--alter --topic plain --partitions 2')
  await same('--alter --topic plain --partitions 6 --replica-assignment 1,1,1,1,1,1')
  await same('--alter --topic plain --partitions 7 --replica-assignment 1,1,1,1,1,1,9')
  await same('--alter --topic plain --delete-config retention.ms')
  await same('--alter --topic plain --config retention.ms=1', {
    as: [[/\[\[.*?\]\]/, '[...]']], // in any order
  })
  await same('--describe --topic plain')
  await same('--alter --topic missing --partitions 2')
  await same('--alter --topic missing --partitions 2 --if-exists')
  await same('--list --exclude-internal', { until: /plain/ })
  await same('--list --topic p.*')
  await same('--delete --topic missing')
  await same('--delete --topic missing --if-exists')
  await same('--delete --topic plain')
  await same('--list', { until: /^(?!.*plain)/s })
  await same('--delete --topic (placed|defaults|set|with.dot)')
  await same('--list', { until: /^\s*$/ })
}

async function describeById(t: Test, session: Session): Promise<void> {
  const text = await session.does('TopicCommand', '--describe --topic placed')
  const id = /TopicId: (\S+)/.exec(text)?.[1] ?? ''
  const printed = await session.does('TopicCommand', `--describe --topic-id ${id}`)
  t.match(printed, /Topic: placed/, 'a topic is found by its id')
}
