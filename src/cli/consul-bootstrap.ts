/** Finds a cluster's brokers in Consul's catalogue, for commands that are told of Consul only. */
import { silentLogger } from '../base/logger.ts'
import { ConsulConnection } from '../cluster/consul/consul-connection.ts'
import { brokerConfigOf } from '../config/broker-config.ts'
import { settingsOfEnvironment } from '../config/environment.ts'
import { createNodeIo } from '../io/node-io.ts'
import { UsageError } from './error-sentence.ts'

/**
 * Token and TLS come from the environment, by the names that brokers take: LMQ_CONSUL_TOKEN and so on.
 *
 * @param addresses as in `lmq.bootstrap.consul`
 * @param patienceMs how long it is tried again while Consul does not answer
 * @returns host:port of the brokers, separated by commas
 * @throws {UsageError} when there is none; LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED
 */
export async function brokersInConsul(addresses: string, patienceMs: number): Promise<string> {
  const texts: Record<string, string> = {
    'lmq.bootstrap.consul': addresses,
    'lmq.consul.start.timeout.ms': String(Math.max(1_000, patienceMs)),
  }
  const own = [...Object.keys(texts), 'lmq.consul.address']
  for (const { name, value } of settingsOfEnvironment(process.env).settings) {
    if (name.startsWith('lmq.consul.') && !own.includes(name)) texts[name] = value
  }
  let config: ReturnType<typeof brokerConfigOf>
  try {
    config = brokerConfigOf(texts)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const connection = await ConsulConnection.open({
    io: createNodeIo(),
    config: { ...config, 'lmq.consul.address': config['lmq.bootstrap.consul'] },
    logger: silentLogger,
  })
  try {
    const brokers = await connection.discover()
    if (brokers.length > 0) return brokers.join(',')
    throw new UsageError(
      `Consul at ${addresses} knows no service ${config['lmq.consul.service.name']}`,
    )
  } finally {
    await connection.close()
  }
}
