import type { Test } from 'tap'
import { isRecording, type Session } from './session.ts'

/** Figures are each run's own. */
export const figures = { as: [[/-?\d+(\.\d+)?([eE]-?\d+)?|NaN|Infinity/g, 'N']] as const }
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** The tools that measure. Their figures are their own; the counts in them must be right. */
export async function load(t: Test, session: Session): Promise<void> {
  const property = (setting: string) => `--command-property ${setting}`
  await session.does('TopicCommand', '--create --topic loaded --partitions 2')
  const produce = (args: string) =>
    session.does('ProducerPerformance', `--topic loaded --throughput -1 ${args}`)
  const first = await produce(
    `--num-records 2000 --record-size 100 ${property('compression.type=zstd')}`,
  )
  t.match(first, /^2000 records sent, /m)
  const more = `--payload-monotonic --warmup-records 100 --print-metrics ${property('acks=1')}`
  const second = await produce(`--num-records 500 ${more}`)
  t.match(second, /^500 records sent, /m)
  t.match(second, /^400 steady state records sent, /m)
  t.match(second, /producer-metrics:outgoing-byte-rate/)
  const read = '--topic loaded --num-records 2500 --timeout 30000'
  const consumed = await session.same(t, 'ConsumerPerformance', read, figures)
  t.match(consumed, /, 2500, /)
  await session.same(t, 'ConsumerPerformance', `${read} --hide-header`, figures)
  const nothing = '--topic loaded --num-records 1 --timeout 500 --group late --from-latest'
  await session.same(t, 'ConsumerPerformance', nothing, figures)
  const latency = await session.does(
    'EndToEndLatency',
    '--topic loaded --num-records 300 --producer-acks all --record-size 64',
  )
  t.match(latency, /Avg latency: \d/)
  t.match(latency, /Percentiles: 50th = \d+, 99th = \d+, 99.9th = \d+/)
}

type Said = { name: string; [fact: string]: unknown }

/** VerifiableProducer and VerifiableConsumer print a line of JSON for each thing that happens. */
export async function verifiable(t: Test, session: Session): Promise<void> {
  await session.does('TopicCommand', '--create --topic verified --partitions 1')
  await producing(t, session)
  await consuming(t, session)
  await choosing(t, session)
  await replicas(t, session)
}

function eventsIn(text: string) {
  const lines = text.split('\n').filter((line) => line.startsWith('{'))
  const events = lines.map((line) => JSON.parse(line) as Said)
  return (name: string) => events.filter((event) => event.name === name)
}

async function producing(t: Test, session: Session): Promise<void> {
  const count = '--topic verified --max-messages 200 --acks -1'
  const values = '--value-prefix 7 --repeating-keys 3 --message-create-time 1600000000000'
  const printed = await session.alone('VerifiableProducer', `${count} ${values}`)
  const events = eventsIn(printed)
  const sent = events('producer_send_success')
  t.same(
    sent.map(({ offset }) => offset),
    numbers(200),
  )
  const pairs = sent.slice(0, 4).map(({ key, value }) => `${key} ${value}`)
  t.same(pairs, ['0 7.0', '1 7.1', '2 7.2', '0 7.3'])
  t.match(events('tool_data'), [{ sent: 200, acked: 200 }])
  const slowly = '--topic verified --max-messages 20 --throughput 40'
  const [rate] = eventsIn(await session.alone('VerifiableProducer', slowly))('tool_data')
  t.match(rate, { sent: 20, acked: 20, target_throughput: 40 })
  t.ok(Number(rate?.['avg_throughput']) < 60, `about 40 a second: ${rate?.['avg_throughput']}`)
  await session.same(t, 'GetOffsetShell', '--topic verified')
}

async function consuming(t: Test, session: Session): Promise<void> {
  const group = '--group-id verifiers --group-instance-id me --session-timeout 30000'
  const read = '--topic verified --max-messages 200 --reset-policy earliest --verbose'
  const events = eventsIn(await session.does('VerifiableConsumer', `${read} ${group}`))
  t.same(
    events('record_data').map(({ offset }) => offset),
    numbers(200),
  )
  t.ok(events('partitions_assigned').length >= 1)
  const commits = events('offsets_committed')
  t.same(commits.at(-1)?.['offsets'], [{ topic: 'verified', partition: 0, offset: 200 }])
  t.ok(commits.every(({ success }) => success === true))
  await session.same(t, 'ConsumerGroupCommand', '--describe --group verifiers --offsets', {
    until: /verified/,
    as: [[/\/127\.0\.0\.1/, '/HOST']],
  })
}

/** The consumer commits by itself, so there is no event of it; how the members share is theirs to choose. */
async function choosing(t: Test, session: Session): Promise<void> {
  const read = '--topic verified --max-messages 220 --reset-policy earliest'
  const own = '--group-id choosers --enable-autocommit'
  const strategy = '--assignment-strategy org.apache.kafka.clients.consumer.RoundRobinAssignor'
  const events = eventsIn(await session.does('VerifiableConsumer', `${read} ${own} ${strategy}`))
  t.same(events('offsets_committed'), [])
  const consumed = events('records_consumed').map(({ count }) => Number(count))
  t.equal(
    consumed.reduce((sum, count) => sum + count, 0),
    220,
  )
  await session.same(t, 'ConsumerGroupCommand', '--describe --group choosers', {
    until: /choosers/,
    as: [[/\/127\.0\.0\.1/, '/HOST']],
  })
  if (!isRecording) {
    // It comes later. The tool ends as after success, whatever its consumer throws.
    const newer = `${read} --group-id newer --group-protocol consumer`
    const why = /UnsupportedVersionException: The cluster does not support the new CONSUMER group/
    t.match(await session.does('VerifiableConsumer', newer), why)
  }
  await session.same(t, 'VerifiableConsumer', `${read} --group-id x --group-protocol other`)
}

/** It goes on for ever, so it is ended after its second report. */
async function replicas(t: Test, session: Session): Promise<void> {
  const args =
    '--topics-include verified --report-interval-ms 200 --time -2 --fetch-size 200 --max-wait-ms 50'
  const enough = /max lag is 0 for partition verified-0 at offset 220 among 1 partitions/
  const printed = await session.alone('ReplicaVerificationTool', args, enough)
  t.match(printed, /verification process is started/)
  t.notMatch(printed, /ERROR|Exception|different/)
}
