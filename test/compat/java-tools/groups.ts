import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { until } from '../harness/context.ts'
import { recordsAt, type Session } from './session.ts'

type Same = (args: string, step?: object) => Promise<string>

/** ConsumerGroupCommand and GroupsCommand: lists, all views of a group with and without members, and what they refuse. */
export async function groups(t: Test, session: Session): Promise<void> {
  const { driver } = session
  const same: Same = (args, step) => session.same(t, 'ConsumerGroupCommand', args, step)
  const all: Same = (args, step) => session.same(t, 'GroupsCommand', args, step)
  await same('--list')
  await same('--describe --group nobody')
  await same('--describe --group nobody --state')
  await same('--describe --group nobody --members')
  await same('--delete --group nobody')
  await session.does('TopicCommand', '--create --topic work --partitions 4')
  await driver.call('produce', { topic: 'work', records: recordsAt(4, 5) })
  const member = {
    member: 'one',
    group: 'crew',
    topics: ['work'],
    instance: 'first',
    sessionTimeoutMs: 2_000,
  }
  await driver.call('join', member)
  await fourPlaces(session)
  await driver.call('commit', { member: 'one' })
  const views = ['', '--offsets', '--state', '--members', '--members --verbose']
  for (const view of [...views, '--offsets --verbose', '--state --verbose'])
    await same(`--describe --group crew ${view}`, { as: ofMembers })
  await same('--list --state')
  await same('--list --state stable')
  await same('--list --state empty,dead')
  await same('--list --state no-such-state', { as: [[/(states are:).*/, '$1 ...']] })
  await same('--list --type')
  await same('--list --type classic --state')
  await same('--list --type consumer')
  await all('--list')
  await all('--list --group-type classic')
  await all('--list --group-type share')
  await all('--list --consumer')
  await all('--list --protocol consumer')
  await all('--list --share')
  await all('--list --streams')
  await all('--list --group-type streams')
  await all('--list --group-type no-such-type')
  await all('--list --share --streams')
  await all('--list --protocol none')
  await same('--delete --group crew')
  await same('--delete-offsets --group crew --topic work')
  await same('--reset-offsets --group crew --topic work --to-earliest --execute')
  await driver.call('leave', { member: 'one' })
  // A static member only leaves when it is silent for its session's time.
  await same('--describe --group crew --state', { as: ofMembers, until: /Empty/ })
  for (const view of ['', '--members', '--members --verbose', '--offsets --verbose'])
    await same(`--describe --group crew ${view}`)
  await same('--describe --all-groups --state')
  await same('--list --state empty')
  await same('--delete-offsets --group crew --topic work:3')
  await same('--delete-offsets --group crew --topic work')
  await same('--delete-offsets --group crew --topic missing')
  await same('--describe --group crew')
  await same('--delete --group crew --group nobody', { sorted: true })
  await same('--list')
  await same('--validate-regex wor.*')
}

/** The client's address, and ids that are as long as they are with every broker. */
const ofMembers: [RegExp, string][] = [[/\/127\.0\.0\.1/g, '/HOST']]

async function fourPlaces({ driver }: Session): Promise<void> {
  await until(
    'the member has all partitions and has read them',
    () => driver.call('assignment', { member: 'one' }),
    ({ partitions }) => (partitions as unknown[]).length === 4,
  )
  let taken = 0
  await until(
    'all records are read',
    async () => {
      const { records } = await driver.call('take', { member: 'one' })
      taken += (records as unknown[]).length
      return taken
    },
    (count) => count === 20,
  )
}

/** Every way to reset offsets. Records have times a second apart, so that a time means an offset. */
export async function resets(t: Test, session: Session): Promise<void> {
  const { driver } = session
  const same: Same = (args, step) => session.same(t, 'ConsumerGroupCommand', args, step)
  const base = '--reset-offsets --group late --topic moves'
  for (const topic of ['moves', 'other']) {
    await session.does(
      'TopicCommand',
      `--create --topic ${topic} --partitions 2 --config retention.ms=-1`,
    )
    await driver.call('produce', { topic, records: recordsAt(2, 10) })
  }
  await same(`${base} --to-earliest`) // plans only
  await same('--describe --group late')
  await same(`${base} --to-earliest --execute`)
  await same('--describe --group late')
  await same(`${base} --to-latest --dry-run`)
  await same(`${base} --to-latest --execute`)
  await same(`${base} --to-offset 4 --execute`)
  await same(`${base} --to-offset 400 --execute`)
  await same(`${base} --to-offset 6 --execute`)
  await same(`${base} --shift-by -2 --execute`)
  await same(`${base} --shift-by 3 --execute`)
  await same(`${base} --shift-by -100 --execute`)
  await same(`${base} --shift-by 100 --execute`)
  await same(`${base} --to-datetime 2020-09-13T12:26:45.000Z --execute`)
  await same(`${base} --to-datetime 2020-09-13T12:26:45.500 --dry-run`)
  await same(`${base} --to-datetime 2030-01-01T00:00:00.000Z --execute`)
  await same(`${base} --to-datetime yesterday`)
  await same(`${base} --by-duration P10000D --execute`)
  await same(`${base} --by-duration PT1M --execute`)
  await same(`${base} --by-duration soon`)
  await same(`${base}:1 --to-offset 2 --execute`)
  await same(`${base} --to-current --execute`)
  await same(`${base} --topic other:0 --to-offset 1 --execute`, { sorted: true })
  await same('--reset-offsets --group late --all-topics --to-offset 3 --execute', { sorted: true })
  await same(`${base}:7 --to-earliest --execute`)
  await same('--reset-offsets --group late --topic missing --to-earliest --execute')
  await same('--reset-offsets --group late --to-earliest')
  await same(`${base} --execute`, { as: [[/(scenarios:).*/, '$1 ...']] })
  await same(`${base} --to-earliest --export`, { sorted: true })
  await fromFile(session, same)
  await same('--describe --group late --offsets', { sorted: true })
  await same('--delete-offsets --group late --topic other', { sorted: true })
  await same('--describe --group late')
  await same('--delete --group late')
}

async function fromFile({ folder }: Session, same: Same): Promise<void> {
  const file = join(folder, 'reset.csv')
  writeFileSync(file, 'moves,0,5\nmoves,1,6\n')
  await same(`--reset-offsets --group late --from-file ${file} --dry-run`, { sorted: true })
  await same(`--reset-offsets --group late --from-file ${file} --execute`, { sorted: true })
  const current = '--reset-offsets --group late --all-topics --to-current --export --dry-run'
  const exported = await same(current, { sorted: true })
  writeFileSync(file, exported)
  await same(`--reset-offsets --group late --from-file ${file} --execute`, { sorted: true })
  writeFileSync(file, `"late","moves",0,1\n"early","moves",1,2\n`)
  const both = `--reset-offsets --group late --group early --from-file ${file} --execute`
  await same(both, { sorted: true })
  await same('--describe --group early')
  await same('--delete --group early')
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(',', ';'))
  await same(`--reset-offsets --group late --from-file ${file} --execute`)
}
