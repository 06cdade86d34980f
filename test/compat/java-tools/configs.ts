import type { Test } from 'tap'
import type { Session } from './session.ts'

/** ConfigCommand for every type of entity that a broker without security has, and ClientMetricsCommand. */
export async function configs(t: Test, session: Session): Promise<void> {
  const same = (args: string, step = {}) => session.same(t, 'ConfigCommand', args, step)
  await session.does('TopicCommand', '--create --topic tuned --partitions 1')
  await ofTopics(same)
  await ofBrokers(same)
  await session.does('ConfigCommand', '--alter --broker 1 --delete-config no.such') // it was taken
  await ofOthers(same)
  await ofQuotas(same)
}

type Same = (args: string, step?: object) => Promise<string>

async function ofTopics(same: Same): Promise<void> {
  const topic = '--entity-type topics --entity-name tuned'
  await same(`--describe ${topic}`)
  await same(`--describe --all ${topic}`, { sorted: true })
  await same(`--alter ${topic} --add-config retention.ms=5000,cleanup.policy=[compact,delete]`)
  await same(`--describe ${topic}`, { until: /retention/, sorted: true })
  await same('--describe --topic tuned', { sorted: true })
  await same(`--alter ${topic} --delete-config retention.ms`)
  await same(`--describe ${topic}`, { until: /^(?!.*retention.ms)/s })
  await same(`--alter ${topic} --delete-config retention.ms`)
  await same(`--alter ${topic} --delete-config no.such`)
  await same(`--alter ${topic} --add-config no.such=1`)
  await same(`--alter ${topic} --add-config retention.ms=soon`)
  await same(`--alter ${topic} --add-config min.insync.replicas=0`)
  await same(`--alter ${topic} --add-config cleanup.policy=shred`)
  await same(`--alter ${topic} --add-config compression.type=brotli`)
  await same('--alter --entity-type topics --entity-name missing --add-config retention.ms=1')
  await same('--describe --entity-type topics --entity-name missing')
  await same('--describe --entity-type topics', { until: /tuned/, sorted: true })
}

async function ofBrokers(same: Same): Promise<void> {
  const broker = '--entity-type brokers --entity-name 1'
  await same(`--describe ${broker}`)
  await same('--describe --entity-type brokers --entity-default')
  await same(`--alter ${broker} --add-config log.retention.ms=86400000`)
  await same(`--describe ${broker}`, { until: /^ *log.retention.ms=8/m })
  await same(
    '--alter --entity-type brokers --entity-default --add-config log.segment.bytes=2097152',
  )
  await same('--describe --entity-type brokers --entity-default', { until: /segment/ })
  await same('--describe --all --entity-type topics --entity-name tuned', {
    until: /retention.ms=86400000/,
    sorted: true,
  })
  await same(`--alter ${broker} --delete-config log.retention.ms`)
  await same('--alter --broker-defaults --delete-config log.segment.bytes')
  await same('--describe --broker-defaults', { until: /^(?!.*segment)/s })
  await same('--describe --broker 1', { until: /^(?!.*retention)/s })
  await same(`--alter ${broker} --add-config log.dirs=/elsewhere`)
  await same(`--alter ${broker} --add-config no.such=1`)
  await same(`--alter ${broker} --add-config num.io.threads=many`)
}

async function ofOthers(same: Same): Promise<void> {
  const metrics = '--entity-type client-metrics --entity-name watch'
  await same(`--describe ${metrics}`)
  await same(
    `--alter ${metrics} --add-config interval.ms=30000,metrics=[a.b,c],match=[client_id=x]`,
  )
  await same(`--describe ${metrics}`, { until: /interval/, sorted: true })
  await same('--describe --entity-type client-metrics', { sorted: true })
  await same('--describe --client-metrics watch', { sorted: true })
  await same(`--alter ${metrics} --add-config interval.ms=1`)
  await same(`--alter ${metrics} --add-config match=[shoe_size=9]`)
  await same(`--alter ${metrics} --add-config no.such=1`)
  await same(`--alter ${metrics} --delete-config interval.ms,metrics,match`)
  await same(`--describe ${metrics}`, { until: /^(?!.*interval)/s })
  const group = '--entity-type groups --entity-name crew'
  await same(`--describe ${group}`, { sorted: true })
  await same(`--alter ${group} --add-config consumer.session.timeout.ms=50000`)
  await same(`--describe ${group}`, { until: /50000/, sorted: true })
  await same(`--describe --all ${group}`, { sorted: true })
  await same('--describe --entity-type groups', { sorted: true })
  await same(`--alter ${group} --add-config consumer.session.timeout.ms=1`)
  await same(`--alter ${group} --add-config no.such=1`)
  await same(`--alter ${group} --delete-config consumer.session.timeout.ms`)
  await same(`--describe --group crew`, { until: /^(?!.*50000)/s, sorted: true })
}

async function ofQuotas(same: Same): Promise<void> {
  const rates = 'producer_byte_rate=1024,consumer_byte_rate=2048'
  await same('--describe --entity-type users')
  await same(`--alter --entity-type users --entity-name alice --add-config ${rates}`)
  await same('--describe --entity-type users --entity-name alice', { until: /1024/ })
  await same('--alter --entity-type users --entity-default --add-config request_percentage=50')
  await same('--describe --user-defaults', { until: /50/ })
  await same('--alter --entity-type clients --entity-name app --add-config producer_byte_rate=9')
  await same('--alter --client-defaults --add-config consumer_byte_rate=8')
  await same('--describe --entity-type clients', { until: /8/, sorted: true })
  await same('--alter --user alice --client app --add-config controller_mutation_rate=1.5')
  await same('--describe --user alice --client app', { until: /1.5/ })
  await same('--describe --entity-type users --entity-type clients', { sorted: true })
  await same('--alter --ip 10.0.0.1 --add-config connection_creation_rate=7')
  await same('--describe --ip 10.0.0.1', { until: /7/ })
  await same('--describe --entity-type ips', { sorted: true })
  await same('--alter --ip-defaults --add-config connection_creation_rate=6')
  await same('--describe --ip-defaults', { until: /6/ })
  await same('--alter --ip not-an-address --add-config connection_creation_rate=7')
  await same('--alter --user alice --add-config no_such_rate=1')
  await same('--alter --user alice --add-config producer_byte_rate=fast')
  await same(`--alter --user alice --delete-config producer_byte_rate,consumer_byte_rate`)
  await same('--describe --user alice', { until: /^(?!.*1024)/s })
  await same('--describe --user nobody')
  // The others too: Kafka would go on at 8 bytes a second.
  await same('--alter --user-defaults --delete-config request_percentage')
  await same('--alter --client app --delete-config producer_byte_rate')
  await same('--alter --client-defaults --delete-config consumer_byte_rate')
  await same('--alter --user alice --client app --delete-config controller_mutation_rate')
  await same('--alter --ip 10.0.0.1 --delete-config connection_creation_rate')
  await same('--alter --ip-defaults --delete-config connection_creation_rate')
  await same('--describe --entity-type clients', { until: /^\s*$/ })
  await same('--describe --entity-type ips', { until: /^\s*$/ })
}

/** ClientMetricsCommand. */
export async function clientMetrics(t: Test, session: Session): Promise<void> {
  const same = (args: string | string[], step = {}) =>
    session.same(t, 'ClientMetricsCommand', args, step)
  await same('--list')
  await same('--alter --name slow --metrics a.,b. --interval 60000 --match client_id=app.*')
  await same('--describe --name slow', { until: /60000/, sorted: true })
  await same('--list')
  await same('--describe', { sorted: true })
  await same('--alter --generate-name --interval 10000', { as: [[/for \S{22}\./, 'for NAME.']] })
  await same(['--alter', '--name', 'slow', '--interval', ''])
  await same(['--alter', '--name', 'slow', '--metrics', ''])
  await same('--describe --name slow', { until: /^(?!.*60000)/s, sorted: true })
  await same('--alter --name slow --interval 1')
  await same('--alter --name slow --match colour=red')
  await same('--delete --name slow')
  await same('--describe --name slow')
}
