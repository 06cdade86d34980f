import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Session } from './session.ts'

type Same = (args: string | string[], step?: object) => Promise<string>

/** ConfigCommand with settings and connections from files, and for the entities that LMQ has none of yet. */
export async function configSources(t: Test, session: Session): Promise<void> {
  const same: Same = (args, step) => session.same(t, 'ConfigCommand', args, step)
  await session.does('TopicCommand', '--create --topic filed --partitions 1')
  await addedFromFile(session, same)
  await connected(t, session, same)
  await loggers(same)
  await scram(t, session, same)
}

/** What stands in the file is what is set, lists without brackets; the command line's own settings win. */
async function addedFromFile({ folder }: Session, same: Same): Promise<void> {
  const file = join(folder, 'added.properties')
  const from = `--add-config-file ${file}`
  const topic = '--entity-type topics --entity-name filed'
  writeFileSync(file, '# of the topic\nretention.ms = 7000\ncleanup.policy=compact,delete\n')
  await same(`--alter ${topic} ${from}`)
  await same(`--describe ${topic}`, { until: /7000/, sorted: true })
  await same(`--alter ${topic} ${from} --add-config retention.ms=8000`)
  await same(`--alter ${topic} ${from} --add-config segment.ms=8000 --delete-config retention.ms`)
  await same(`--describe ${topic}`, { sorted: true })
  writeFileSync(file, 'retention.ms=soon\n')
  await same(`--alter ${topic} ${from}`)
  writeFileSync(file, '')
  await same(`--alter ${topic} ${from}`)
  await same(`--alter ${topic} --add-config-file ${join(folder, 'missing.properties')}`)
  await same(`--describe ${topic} ${from}`)
  writeFileSync(file, 'log.retention.ms=86300000\n')
  await same(`--alter --broker 1 ${from}`)
  await same('--describe --broker 1', { until: /86300000/ })
  await same('--alter --broker 1 --delete-config log.retention.ms')
  await same('--describe --broker 1', { until: /^(?!.*86300000)/s })
  writeFileSync(file, 'producer_byte_rate=7000\n')
  await same(`--alter --user filer ${from}`)
  await same('--describe --user filer', { until: /7000/ })
  await same('--alter --user filer --delete-config producer_byte_rate')
}

/** Each tool reads the properties of its client from a file. */
async function connected(t: Test, session: Session, same: Same): Promise<void> {
  const file = join(session.folder, 'command.properties')
  const using = `--command-config ${file}`
  const others = [
    ['TopicCommand', '--list --exclude-internal --topic filed'],
    ['ConsumerGroupCommand', '--describe --group nobody'],
    ['GetOffsetShell', '--topic filed'],
    ['GroupsCommand', '--list --protocol none'],
  ] as const
  writeFileSync(file, 'client.id=operator\nrequest.timeout.ms=20000\n')
  await same(`--describe --entity-type topics --entity-name filed ${using}`, { sorted: true })
  for (const [name, args] of others) await session.same(t, name, `${args} ${using}`)
  writeFileSync(file, 'request.timeout.ms=soon\n')
  for (const [name, args] of others) await session.same(t, name, `${args} ${using}`)
}

/**
 * LMQ has no loggers with levels of their own: it lists none, which the tool says of every name that is asked for. Kafka's
 * list depends on its logging library, so only the names that no list has are asked for.
 */
async function loggers(same: Same): Promise<void> {
  const none = {
    edit: (text: string) => text.replace(/^ .*\n?/gm, ''),
  }
  await same('--describe --entity-type broker-loggers --entity-name 1', none)
  await same('--describe --broker-logger 1', none)
  await same('--describe --broker-logger 9')
  await same('--describe --broker-logger one')
  await same('--describe --entity-type broker-loggers')
  await same('--alter --broker-logger 1 --add-config no.such.logger=INFO')
  await same('--alter --broker-logger 1 --add-config no.such.logger=LOUD')
  await same('--alter --broker-logger 1 --delete-config no.such.logger')
  await same('--alter --broker-logger 9 --add-config no.such.logger=INFO')
}

/** Credentials come with security; until then there are none, and none can be added or taken away. */
async function scram(t: Test, session: Session, same: Same): Promise<void> {
  const change = '--alter --user alice'
  const credential = 'SCRAM-SHA-256=[iterations=8192,password=secret]'
  const notServed = /UnsupportedVersionException: .*ALTER_USER_SCRAM_CREDENTIALS/
  const refused = (args: string) => session.refused(t, 'ConfigCommand', args, notServed)
  await same('--describe --user alice')
  await same('--describe --entity-type users')
  await refused(`${change} --add-config ${credential}`)
  await refused(`${change} --delete-config SCRAM-SHA-256`)
  await same('--describe --user alice')
  await same(`${change} --add-config SCRAM-SHA-256=[iterations=1,password=secret]`)
  await same(`${change} --add-config SCRAM-SHA-512=[iterations=8192]`)
  await same(`--alter --user-defaults --add-config ${credential}`)
  await same(`${change} --client app --add-config ${credential}`)
}
