import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { recordsAt, type Session } from './session.ts'

/** GetOffsetShell, DeleteRecordsCommand and LogDirsCommand. */
export async function records(t: Test, session: Session): Promise<void> {
  const same = (args: string, step = {}) => session.same(t, 'GetOffsetShell', args, step)
  const create = '--partitions 3 --config retention.ms=-1'
  await session.does('TopicCommand', `--create --topic filled ${create}`)
  await session.does('TopicCommand', `--create --topic empty ${create}`)
  await session.driver.call('produce', { topic: 'filled', records: recordsAt(3, 8) })
  const times = ['latest', 'earliest', 'max-timestamp', 'earliest-local', 'latest-tiered']
  for (const time of [...times, 'earliest-pending-upload', '-1', '-2', '-3', '-4', '-5', '-6'])
    await same(`--topic filled --time ${time}`)
  for (const time of ['1600000004000', '1600000004001', '0', '1900000000000', '-7', 'noon'])
    await same(`--topic filled --time ${time}`, { sorted: true })
  await same('--topic empty --time max-timestamp')
  await same('--topic empty --time 1600000000000')
  await same('--topic (filled|empty) --exclude-internal-topics')
  await same('--topic filled --partitions 0,2')
  await same('--topic filled --partitions 7')
  await same('--topic missing')
  await same('--topic-partitions filled:1,empty:0-2')
  await same('--topic-partitions filled:-2,empty:2-')
  await deleting(t, session)
  await sizes(t, session)
}

async function deleting(t: Test, session: Session): Promise<void> {
  const file = join(session.folder, 'delete.json')
  const offsets = (...all: [string, number, number][]) => {
    const partitions = all.map(([topic, partition, offset]) => ({ topic, partition, offset }))
    writeFileSync(file, JSON.stringify({ partitions, version: 1 }))
  }
  const same = () =>
    session.same(t, 'DeleteRecordsCommand', `--offset-json-file ${file}`, { sorted: true })
  offsets(['filled', 0, 3], ['filled', 1, -1])
  await same()
  await session.same(t, 'GetOffsetShell', '--topic filled --time earliest')
  offsets(['filled', 0, 100])
  await same()
  offsets(['filled', 0, 1])
  await same()
  offsets(['filled', 0, 1], ['filled', 0, 2])
  await same()
  writeFileSync(file, '{"partitions": "all"}')
  await same()
  writeFileSync(file, '{')
  await same()
}

/** Sizes are the same bytes: the records came from the same client. */
async function sizes(t: Test, session: Session): Promise<void> {
  const step = { edit: byPartition }
  const same = (args: string) => session.same(t, 'LogDirsCommand', args, step)
  await same('--describe --topic-list empty')
  await same('--describe --topic-list empty --broker-list 1')
  await same('--describe --topic-list missing')
  await same('--describe --broker-list 1,9')
  const text = await session.does('LogDirsCommand', '--describe --topic-list filled')
  const found = JSON.parse(text.slice(text.indexOf('{'))) as {
    brokers: { logDirs: { partitions: { partition: string; size: number }[] }[] }[]
  }
  const partitions = found.brokers.flatMap(({ logDirs }) =>
    logDirs.flatMap((dir) => dir.partitions),
  )
  t.same(partitions.map(({ partition }) => partition).sort(), ['filled-0', 'filled-1', 'filled-2'])
  t.ok(partitions.every(({ size }) => size > 0))
}

type LogDirs = { brokers: { logDirs: { logDir: string; partitions: { partition: string }[] }[] }[] }

/** The order of the partitions is chance, the folder's name is the server's. */
function byPartition(text: string): string {
  const start = text.indexOf('{"')
  if (start < 0) return text
  const { brokers, ...rest } = JSON.parse(text.slice(start)) as LogDirs
  for (const each of brokers.flatMap(({ logDirs }) => logDirs)) {
    each.logDir = 'DATA'
    each.partitions.sort((a, b) => (a.partition < b.partition ? -1 : 1))
  }
  return text.slice(0, start) + JSON.stringify({ brokers, ...rest }, null, 1)
}
