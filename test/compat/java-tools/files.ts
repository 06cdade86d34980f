import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { until } from '../harness/context.ts'
import { recordsAt, type Session } from './session.ts'

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Times and checksums of what the server wrote by itself; those of the records are the test's own. */
const varying: readonly (readonly [RegExp, string])[] = [
  [/\b(producerId): \d+/g, '$1: N'],
  [/(baseSequence: \d.* crc): \d+/, '$1: N'], // it covers the producer's id
  [/((commit|expire|createTime)\w*"?: ?)"?-?\d+"?/g, '$1MS'],
  [/(lastTimestamp|CreateTime): 1[789]\d{11}/g, '$1: MS'],
]

/** What an id of a member is made of besides its client's name: the client's number among those of its process, a UUID. */
const memberId = /(?<=consumer-described-)\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

/** Before the server stops: a topic with records of every codec and of a producer with an id, and a group with offsets. */
export async function fillFiles(session: Session): Promise<void> {
  const configs = '--config retention.ms=-1 --config index.interval.bytes=100'
  await session.does('TopicCommand', `--create --topic dumped --partitions 1 ${configs}`)
  const batch = { topic: 'dumped', lingerMs: 5_000 } // all in one, also on a busy machine
  for (const codec of codecs)
    await session.driver.call('produce', { ...batch, records: recordsAt(1, 6), codec })
  await session.driver.call('produce', {
    topic: 'dumped',
    records: recordsAt(1, 2),
    idempotent: true,
  })
  const reset = '--reset-offsets --group dumpers --topic dumped --to-offset 7 --execute'
  await session.does('ConsumerGroupCommand', reset)
  await fillGroup(session)
}

/** A member that comes and goes, then a static one that stays: its group is not empty when the server ends. */
async function fillGroup({ driver }: Session): Promise<void> {
  const common = { group: 'described', topics: ['dumped'], sessionTimeoutMs: 30_000 }
  const joins = async (member: string, more = {}) => {
    await driver.call('join', { member, ...common, ...more })
    await until(
      `${member} has the partition`,
      () => driver.call('assignment', { member }),
      ({ partitions }) => (partitions as unknown[]).length === 1,
    )
  }
  await joins('passing')
  await driver.call('leave', { member: 'passing' })
  await joins('staying', { instance: 'first', assignor: 'roundrobin' })
}

/** DumpLogSegments over the folders that a server wrote; it was stopped before. */
export async function files(t: Test, session: Session, dataFolder: string): Promise<void> {
  const same = (args: string) => session.same(t, 'DumpLogSegments', args, { as: varying })
  const of = (partition: string, ending: string) => {
    const folder = join(dataFolder, partition)
    const names = readdirSync(folder).filter((name) => name.endsWith(ending))
    t.ok(names.length > 0, `${partition} has a ${ending}`)
    return names.map((name) => join(folder, name)).join(',')
  }
  const log = `--files ${of('dumped-0', '.log')}`
  await same(log)
  await same(`${log} --print-data-log`)
  await same(`${log} --print-data-log --deep-iteration --skip-record-metadata`)
  await same(`${log} --max-bytes 300 --deep-iteration`)
  const decoders = 'org.apache.kafka.tools.api'
  await same(
    `${log} --print-data-log --value-decoder-class ${decoders}.StringDecoder --key-decoder-class ${decoders}.StringDecoder`,
  )
  for (const ending of ['.index', '.timeindex'])
    for (const check of ['', '--index-sanity-check', '--verify-index-only'])
      await same(`--files ${of('dumped-0', ending)} ${check}`)
  for (const size of [50, 100_000]) // as far as it looks for the batch of an entry
    await same(`--files ${of('dumped-0', '.index')} --max-message-size ${size}`)
  await same(`--files ${of('dumped-0', '.snapshot')}`)
  await session.driver.call('leave', { member: 'staying' })
  await decoded(same, log)
  await committed(t, session, dataFolder)
}

/**
 * The decoders of logs that LMQ does not write: of transactions, share groups and remote segments, which come later, and of
 * the cluster's metadata, which LMQ keeps in a form of its own. So they are shown records that are not theirs.
 */
async function decoded(same: (args: string) => Promise<string>, log: string): Promise<void> {
  const few = '--max-bytes 300'
  const decoders = ['transaction-log', 'cluster-metadata', 'share-group-state']
  for (const decoder of [...decoders, 'remote-log-metadata', 'offsets'])
    await same(`${log} ${few} --${decoder}-decoder`)
  await same(`${log} ${few} --print-data-log --value-decoder-class no.such.Decoder`)
  await same(`${log} ${few} --offsets-decoder --transaction-log-decoder`)
}

/** The group's commit in `__consumer_offsets`, and what became of the group with members, read by Kafka's decoder. */
async function committed(t: Test, session: Session, dataFolder: string): Promise<void> {
  const folders = readdirSync(dataFolder).filter((name) => name.startsWith('__consumer_offsets-'))
  const paths = folders.map((name) => join(dataFolder, name, '00000000000000000000.log')).join(',')
  const dumped = await session.does('DumpLogSegments', `--offsets-decoder --files ${paths}`)
  const of = (group: string) => {
    const lines = dumped.split('\n').filter((line) => line.includes(`"group":"${group}"`))
    return lines.map((line) => {
      const record = line.replace(/^.*? key: /, '').replace(/\d{13}/g, 'MS')
      return record.replace(/"topicId":"[^"]+"/, '"topicId":ID').replaceAll(memberId, 'N')
    })
  }
  const commits = of('dumpers')
  t.equal(commits.length, 1, dumped)
  await session.sameText(t, 'DumpLogSegments --offsets-decoder', commits.join(''))
  await session.sameText(
    t,
    'DumpLogSegments --offsets-decoder: members',
    of('described').join('\n'),
  )
}
