import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { recordsAt, type Session } from './session.ts'

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Times and checksums of what the server wrote by itself; those of the records are the test's own. */
const varying: readonly (readonly [RegExp, string])[] = [
  [/\b(producerId): \d+/g, '$1: N'],
  [/(baseSequence: \d.* crc): \d+/, '$1: N'], // it covers the producer's id
  [/((commit|expire|createTime)\w*"?: ?)"?-?\d+"?/g, '$1MS'],
  [/(lastTimestamp|CreateTime): 1[789]\d{11}/g, '$1: MS'],
]

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
  await same(`--files ${of('dumped-0', '.snapshot')}`)
  await committed(t, session, dataFolder)
}

/** The group's commit in `__consumer_offsets`, read by Kafka's decoder. */
async function committed(t: Test, session: Session, dataFolder: string): Promise<void> {
  const folders = readdirSync(dataFolder).filter((name) => name.startsWith('__consumer_offsets-'))
  const paths = folders.map((name) => join(dataFolder, name, '00000000000000000000.log')).join(',')
  const dumped = await session.does('DumpLogSegments', `--offsets-decoder --files ${paths}`)
  const lines = dumped.split('\n').filter((line) => line.includes('"group":"dumpers"'))
  const decoded = lines.map((line) => line.replace(/^.*? key: /, '').replace(/\d{13}/g, 'MS'))
  t.equal(decoded.length, 1, dumped)
  const stable = decoded.join('').replace(/"topicId":"[^"]+"/, '"topicId":ID')
  await session.sameText(t, 'DumpLogSegments --offsets-decoder', stable)
}
