import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Incoming } from '../harness/driver.ts'
import { figures } from './load.ts'
import type { Session } from './session.ts'

/** What the options of the tools that measure do: to the records, to the requests, and to what is printed. */
export async function loadOptions(t: Test, session: Session): Promise<void> {
  await session.does('TopicCommand', '--create --topic measured --partitions 1')
  await payloads(t, session)
  await progress(t, session)
  await transactions(t, session)
  await fetching(t, session)
  await reports(t, session)
  await endToEnd(t, session)
}

const produce = (session: Session, args: string | string[]) => {
  const more = typeof args === 'string' ? args.split(' ') : args
  return session.does('ProducerPerformance', ['--topic', 'measured', ...more])
}

async function all({ driver }: Session, topic: string, count: number): Promise<Incoming[]> {
  const { records } = await driver.call('consume', { topic, count })
  return records as Incoming[]
}

const textOf = (base64: string | null) => Buffer.from(base64 ?? '', 'base64').toString()

/** Only the file's payloads are sent, and each is one of what the delimiter parts. */
async function payloads(t: Test, session: Session): Promise<void> {
  const file = join(session.folder, 'payloads.txt')
  writeFileSync(file, 'one;two\nlines;three')
  const count = ['--num-records', '60', '--throughput', '-1', '--payload-file', file]
  await produce(session, count)
  const lines = (await all(session, 'measured', 60)).map(({ value }) => textOf(value))
  t.same([...new Set(lines)].sort(), ['lines;three', 'one;two'])
  const older = ['--producer-props', 'acks=1', 'client.id=props']
  const parted = await produce(session, [...count, '--payload-delimiter', ';', ...older])
  t.match(parted, /^60 records sent, /m)
  const parts = (await all(session, 'measured', 120)).slice(60).map(({ value }) => textOf(value))
  t.same([...new Set(parts)].sort(), ['one', 'three', 'two\nlines'])
  const both = '--topic measured --num-records 1 --throughput -1 --record-size 1'
  await session.same(t, 'ProducerPerformance', `${both} --payload-file ${file}`)
  const missing = join(session.folder, 'missing.txt')
  const absent = `--topic measured --num-records 1 --throughput -1 --payload-file ${missing}`
  await session.same(t, 'ProducerPerformance', absent)
}

/** A line for each interval, and the rate that was asked for. */
async function progress(t: Test, session: Session): Promise<void> {
  const file = join(session.folder, 'producer.properties')
  writeFileSync(file, 'client.id=from-file\nacks=1\n')
  const rate = '--num-records 200 --record-size 10 --throughput 200 --reporting-interval 200'
  const settings = `--command-config ${file} --command-property client.id=from-line --print-metrics`
  const printed = await produce(session, `${rate} ${settings}`)
  const reports = [...printed.matchAll(/^(\d+) records sent, .* ms max latency\.$/gm)]
  t.ok(reports.length >= 3, `a report for each interval: ${reports.length}`)
  t.match(printed, /^200 records sent, .* 99.9th\.$/m)
  t.match(printed, /producer-metrics:\S+:\{client-id=from-line\}/, 'the line goes before the file')
}

/** They are a later feature: the tool must end and name it. */
async function transactions(t: Test, session: Session): Promise<void> {
  const count = '--topic measured --num-records 10 --record-size 10 --throughput -1'
  const why =
    /KafkaException: Could not find a coordinator .*: transactions are not served by this broker/
  for (const option of ['--transactional-id mine', '--transaction-duration-ms 100'])
    await session.refused(t, 'ProducerPerformance', `${count} ${option}`, why)
}

type Metrics = (name: string) => number

function metricsIn(text: string): Metrics {
  return (name) => Number(new RegExp(`^${name}:.*?: ([\\d.]+)`, 'm').exec(text)?.[1])
}

/** How much one fetch brings is up to --fetch-size; a batch that is larger comes alone. */
async function fetching(t: Test, session: Session): Promise<void> {
  const count = '--num-records 320 --timeout 30000 --print-metrics --include meas.red'
  const read = async (more: string) => {
    const printed = await session.does('ConsumerPerformance', `${count} ${more}`)
    t.match(printed, /, 320, /, `all are read: ${more}`)
    return metricsIn(printed)
  }
  const fetchSize = 'consumer-fetch-manager-metrics:fetch-size-max'
  const fetches = 'consumer-fetch-manager-metrics:fetch-total'
  const wide = await read('--socket-buffer-size 1048576')
  const narrow = await read('--fetch-size 100 --socket-buffer-size 4096')
  t.ok(narrow(fetchSize) < wide(fetchSize) / 4, `${narrow(fetchSize)} of ${wide(fetchSize)} bytes`)
  t.ok(narrow(fetches) > wide(fetches), `${narrow(fetches)} fetches, not ${wide(fetches)}`)
}

/** Reports of an interval each, with times in the form that is asked for. */
async function reports(t: Test, session: Session): Promise<void> {
  const read = '--num-records 320 --timeout 30000 --topic measured'
  const same = (args: string, step = {}) =>
    session.same(t, 'ConsumerPerformance', `${read} ${args}`, { ...figures, ...step })
  const once = (text: string) => [...new Set(text.replace(/[\d.]+/g, '0').split('\n'))].join('\n')
  await same('--date-format HH~mm')
  await same('--date-format no-such-form')
  await same('--show-detailed-stats --reporting-interval 1', { edit: once })
  await same('--show-detailed-stats --reporting-interval 1 --hide-header', { edit: once })
  await same('--show-detailed-stats --reporting-interval 0')
  const both = '--num-records 1 --topic measured --include meas.*'
  await session.same(t, 'ConsumerPerformance', both, { as: [[/\[\[.*?\]\]/, '[...]']] })
  await session.same(t, 'ConsumerPerformance', '--num-records 1')
}

/** Keys and headers of the sizes that were asked for come back as they were sent. */
async function endToEnd(t: Test, session: Session): Promise<void> {
  await session.does('TopicCommand', '--create --topic there-and-back --partitions 1')
  const sizes = '--record-size 30 --record-key-size 12 --num-headers 3'
  const headers = '--record-header-key-size 5 --record-header-size 7'
  const count = '--topic there-and-back --num-records 50 --producer-acks 1'
  const printed = await session.does('EndToEndLatency', `${count} ${sizes} ${headers}`)
  t.match(printed, /Avg latency: \d/)
  const records = await all(session, 'there-and-back', 50)
  const lengths = records.map(({ key, value, headers }) => [
    textOf(key).length,
    textOf(value).length,
    ...headers.map(([name, content]) => [name.length, textOf(content).length]),
  ])
  const one = [12, 30, [5, 7], [5, 7], [5, 7]]
  t.same(
    lengths,
    Array.from({ length: 50 }, () => one),
  )
  const wrong = '--topic there-and-back --num-records 1 --record-size 1'
  await session.same(t, 'EndToEndLatency', `${wrong} --producer-acks 0`)
  await session.same(t, 'EndToEndLatency', `${wrong} --producer-acks 1 --num-headers -1`)
}
