import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Session } from './session.ts'

/** The two folders of the server, below the session's own, so that they have the same names in every run. */
export const logDirs = (folder: string) => [join(folder, 'one'), join(folder, 'two')] as const

/** ReassignPartitionsCommand with plans that name log directories. A replica moves between the two of its broker. */
export async function moves(t: Test, session: Session): Promise<void> {
  const [one, two] = logDirs(session.folder)
  await session.does('TopicCommand', '--create --topic placed --config retention.ms=-1')
  // More than the megabyte that Kafka copies before it looks at the rate.
  const size = '--num-records 6000 --record-size 1000 --throughput -1'
  await session.does('ProducerPerformance', `--topic placed ${size}`)
  const file = join(session.folder, 'plan.json')
  const plan = (...dirs: string[]) => {
    const partition = { topic: 'placed', partition: 0, replicas: [1], log_dirs: dirs }
    writeFileSync(file, JSON.stringify({ version: 1, partitions: [partition] }))
  }
  const same = (args: string, step = {}) =>
    session.same(t, 'ReassignPartitionsCommand', `${args} --reassignment-json-file ${file}`, step)
  const done = { until: /completed successfully/ }
  const places = () => session.same(t, 'LogDirsCommand', onlyPlaced, { edit: placesIn })

  plan(one) // it may lie there already
  await session.does('ReassignPartitionsCommand', `--execute --reassignment-json-file ${file}`)
  await same('--verify', done)
  await places()

  plan(two)
  await same('--verify')
  await same('--execute --replica-alter-log-dirs-throttle 100')
  await same('--execute --replica-alter-log-dirs-throttle 20000')
  await throttled(t, session, /20000/)
  await same('--verify --preserve-throttles')
  await places()
  await same('--execute --additional --replica-alter-log-dirs-throttle 30000')
  await throttled(t, session, /30000/)
  await same('--execute --replica-alter-log-dirs-throttle 50000000') // now it ends, so nothing more is asked on the way
  await throttled(t, session, /50000000/)
  await same('--verify', done)
  await throttled(t, session, /^(?!.*alter)/s)
  await places()
  await session.same(t, 'GetOffsetShell', '--topic placed')

  plan('any')
  await same('--execute')
  await same('--verify')
  await refusals(same, plan, one)
}

type Same = (args: string, step?: object) => Promise<string>

async function refusals(same: Same, plan: (...dirs: string[]) => void, one: string) {
  plan('/no/such/folder')
  await same('--execute --timeout 1000')
  await same('--verify')
  plan('relative')
  await same('--execute')
  plan(one, one)
  await same('--execute')
}

const throttled = (t: Test, session: Session, until: RegExp) =>
  session.same(t, 'ConfigCommand', '--describe --broker 1', { until })

const onlyPlaced = '--describe --broker-list 1 --topic-list placed'

type Placed = { partition: string; isFuture: boolean }
type Described = { brokers: { logDirs: { logDir: string; partitions: Placed[] }[] }[] }

/** Which replica lies where. Sizes are those of the batches that the producer made. */
function placesIn(text: string): string {
  const { brokers } = JSON.parse(text.slice(text.indexOf('{"'))) as Described
  const places = brokers.flatMap(({ logDirs }) =>
    logDirs.flatMap(({ logDir, partitions }) =>
      partitions.map(({ partition, isFuture }) => ({ logDir, partition, isFuture })),
    ),
  )
  return places
    .map((place) => JSON.stringify(place))
    .sort()
    .join('\n')
}
