// Goal: Consul with access control and with TLS serves a cluster; a token that is too weak is told. Method: real servers,
// the token of the README's policy, certificates made by Consul itself.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { ConsulConnection } from '../../src/cluster/consul/consul-connection.ts'
import type { BrokerFacts } from '../../src/cluster/metadata-store.ts'
import { brokerConfigOf } from '../../src/config/broker-config.ts'
import { tool, whyMissing } from '../compat/harness/tools.ts'
import { io, until, win } from './consul-fixture.ts'
import { startConsul } from './consul-servers.ts'

t.setTimeout(300_000)
const skip = tool('consul') ? false : whyMissing('consul')
const policy = `
key_prefix "lmq/" { policy = "write" }
session_prefix "" { policy = "write" }
service_prefix "lmq" { policy = "write" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
`
const facts: BrokerFacts = {
  ...{ brokerId: 1, brokerEpoch: 1, incarnationId: 'run', rack: null, version: '1.0.0' },
  listeners: [{ name: 'PLAINTEXT', host: '127.0.0.1', port: 9092, securityProtocol: 'PLAINTEXT' }],
  httpAddress: undefined,
}

async function connect(settings: Readonly<Record<string, string>>): Promise<ConsulConnection> {
  const config = brokerConfigOf({ 'lmq.consul.start.timeout.ms': '3000', ...settings })
  return ConsulConnection.open({ io, config, logger: silentLogger })
}

/** All that a broker does with Consul, from the first call to the last. */
async function live(t: Test, settings: Readonly<Record<string, string>>): Promise<void> {
  const connection = await connect(settings)
  const clusterId = await connection.agreeClusterId('chosen')
  t.equal(clusterId, 'chosen')
  const store = await connection.openStore(clusterId, undefined)
  const leadership = await win(store)
  await store.append(leadership, -1, Buffer.from('a'))
  await store.writeSnapshot(leadership, { index: 0, payload: Buffer.from('s') })
  await store.join({ brokerId: 1, incarnationId: 'run', address: '127.0.0.1:9092' })
  t.equal((await store.members()).length, 1)
  store.announce(facts)
  const second = await connect(settings)
  t.equal(await second.agreeClusterId('another'), 'chosen', 'the first choice stays')
  await until(async () => (await second.discover()).length === 1, 'the service')
  t.strictSame(await second.discover('chosen'), ['127.0.0.1:9092'])
  t.strictSame(await second.discover('another'), [])
  await store.close()
  t.strictSame(await second.discover(), [], 'it goes with its broker')
  await second.close()
}

t.test(
  'access control: the token of the policy suffices, a weaker one is told',
  { skip },
  async (t) => {
    const minor = Number(/^1\.(\d+)/.exec(tool('consul')?.version ?? '')?.[1] ?? 8)
    const nameOfMaster = minor >= 11 ? 'initial_management' : 'master'
    const master = '11111111-2222-3333-4444-555555555555'
    const consul = await startConsul({
      token: master,
      settings: {
        acl: {
          enabled: true,
          default_policy: 'deny',
          tokens: { [nameOfMaster]: master, agent: master },
        },
      },
    })
    if (!consul) return
    t.teardown(() => consul.remove())
    const tokenWith = async (name: string, rules: string): Promise<string> => {
      const make = async (path: string, body: unknown) => {
        let answer = await consul.call('PUT', path, Buffer.from(JSON.stringify(body)))
        // A new leader needs a moment until its access control is as it is configured.
        await until(async () => {
          if (answer.status !== 500) return true
          answer = await consul.call('PUT', path, Buffer.from(JSON.stringify(body)))
          return false
        }, 'access control')
        if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.body}`)
        return JSON.parse(answer.body.toString()) as Record<string, string>
      }
      await make('/v1/acl/policy', { Name: name, Rules: rules })
      const token = await make('/v1/acl/token', { Policies: [{ Name: name }] })
      return token['SecretID'] as string
    }
    const address = { 'lmq.consul.address': consul.addresses.join(',') }
    await live(t, { ...address, 'lmq.consul.token': await tokenWith('lmq', policy) })

    const weak = await tokenWith('weak', 'key_prefix "lmq/" { policy = "read" }')
    const denied = await connect({ ...address, 'lmq.consul.token': weak })
    const store = await denied.openStore('chosen', undefined)
    await t.rejects(store.lead({ brokerId: 2, incarnationId: 'x' }), { code: 'LMQ_STORE_DENIED' })
    await t.rejects(store.join({ brokerId: 2, incarnationId: 'x', address: '' }), {
      code: 'LMQ_STORE_DENIED',
    })
    await store.close()

    const unknown = await connect({ ...address, 'lmq.consul.token': 'no-such-token' })
    await t.rejects(unknown.agreeClusterId('x'), { code: 'LMQ_STORE_DENIED' })
    await unknown.close()
  },
)

t.test('TLS: who cannot prove itself is not spoken to', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lmq-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const make = (...args: string[]) =>
    execFileSync(tool('consul')?.path ?? '', ['tls', ...args], { cwd: folder, stdio: 'ignore' })
  make('ca', 'create')
  make('cert', 'create', '-server', '-additional-ipaddress', '127.0.0.1')
  make('cert', 'create', '-client')
  const at = (name: string) => join(folder, name)
  const ca = at('consul-agent-ca.pem')
  const cert = at('dc1-server-consul-0.pem')
  const key = at('dc1-server-consul-0-key.pem')
  const consul = await startConsul({ tls: { ca, cert, key }, settings: { verify_incoming: false } })
  if (!consul) return
  t.teardown(() => consul.remove())
  const address = { 'lmq.consul.address': `https://${consul.addresses[0]}` }
  const client = {
    'lmq.consul.tls.cert': at('dc1-client-consul-0.pem'),
    'lmq.consul.tls.key': at('dc1-client-consul-0-key.pem'),
  }
  await live(t, { ...address, ...client, 'lmq.consul.tls.ca': ca })

  const distrustful = await connect(address)
  await t.rejects(distrustful.agreeClusterId('x'), { code: 'LMQ_STORE_UNREACHABLE' })
  await distrustful.close()
  const careless = await connect({ ...address, 'lmq.consul.tls.verify': 'false' })
  t.equal(await careless.agreeClusterId('x'), 'chosen')
  await careless.close()
  await t.rejects(connect({ ...address, 'lmq.consul.tls.ca': at('missing.pem') }), {
    code: 'LMQ_CONFIG_INVALID',
  })
})
