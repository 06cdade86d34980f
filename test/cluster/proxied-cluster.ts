// A cluster whose brokers reach one another, and Consul, through proxies, and clients reach them so if that is wanted: the
// network between them can be made worse.
import { startTestBroker, type TestBroker } from '../compat/harness/broker.ts'
import { ClusterProcesses } from './cluster-processes.ts'
import { freePorts, startConsul } from './consul-servers.ts'
import { type Fault, TcpProxy } from './tcp-proxy.ts'

export type Network = {
  readonly cluster: ClusterProcesses
  /** Makes the way to a broker worse for the other brokers. */
  towards(brokerId: number, faultOf: (from: number) => Fault): void
  /** Makes the way from a broker to all Consul servers worse. */
  toConsul(brokerId: number, fault: Fault): void
  /** Nothing reaches a broker any more, nothing comes from it, and nobody is told; clients' ways only if they have proxies. */
  silence(brokerId: number): void
  /** Resets every connection between brokers. */
  reset(): void
  heal(): void
  remove(): Promise<void>
}

const silent: Fault = { holdsRequests: true, holdsAnswers: true }

/**
 * @param hasClientProxies whether clients are led through proxies, too, once they have asked for metadata
 * @returns undefined where there is no Consul
 */
export async function startProxiedCluster(
  settings: Readonly<Record<string, string>>,
  hasClientProxies = false,
): Promise<Network | undefined> {
  const consul = await startConsul({ servers: 3 })
  if (!consul) return undefined
  const proxies: TcpProxy[] = []
  const between = new Map<number, TcpProxy>()
  const inwards = new Map<number, TcpProxy>()
  const outwards = new Map<number, TcpProxy[]>()
  const brokers = new Map<number, TestBroker>()
  const open = async (port: number): Promise<TcpProxy> => {
    const proxy = await TcpProxy.open(port)
    proxies.push(proxy)
    return proxy
  }
  const remove = async (): Promise<void> => {
    for (const proxy of proxies) await proxy.close()
  }
  const start = async (id: number, client: number, inner: number): Promise<void> => {
    const proxy = await open(inner)
    between.set(id, proxy)
    const ways = await Promise.all(consul.addresses.map((each) => open(Number(each.split(':')[1]))))
    outwards.set(id, ways)
    const door = hasClientProxies ? await open(client) : undefined
    if (door) inwards.set(id, door)
    const broker = await startTestBroker({
      settings: {
        'node.id': String(id),
        'lmq.cluster.id': 'proxied',
        'lmq.consul.address': ways.map(({ port }) => `127.0.0.1:${port}`).join(','),
        listeners: `PLAINTEXT://127.0.0.1:${client},INNER://127.0.0.1:${inner}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${door?.port ?? client},INNER://127.0.0.1:${proxy.port}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT',
        'inter.broker.listener.name': 'INNER',
        ...settings,
      },
    })
    brokers.set(id, broker)
  }
  try {
    const ports = await freePorts(6)
    const starts = [1, 2, 3].map((id) => {
      return start(id, ports[2 * id - 2] as number, ports[2 * id - 1] as number)
    })
    const failed = (await Promise.allSettled(starts)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    const cluster = new ClusterProcesses(consul, brokers)
    await cluster.whole()
    return {
      cluster,
      towards: (brokerId, faultOf) =>
        between.get(brokerId)?.fault((clientId) => faultOf(brokerOf(clientId))),
      toConsul(brokerId, fault) {
        for (const proxy of outwards.get(brokerId) ?? []) proxy.fault(() => fault)
      },
      silence(brokerId) {
        for (const proxy of outwards.get(brokerId) ?? []) proxy.fault(() => silent)
        inwards.get(brokerId)?.fault(() => silent)
        for (const [id, proxy] of between) {
          proxy.fault((from) => (id === brokerId || brokerOf(from) === brokerId ? silent : {}))
        }
      },
      reset() {
        for (const proxy of between.values()) proxy.reset()
      },
      heal() {
        for (const proxy of proxies) proxy.heal()
      },
      async remove() {
        await cluster.remove()
        await remove()
      },
    }
  } catch (error) {
    for (const broker of brokers.values()) await broker.stop()
    await consul.remove()
    await remove()
    throw error
  }
}

/** Brokers call themselves `broker-<id>`; -1: nobody has said anything yet, or it is no broker. */
function brokerOf(clientId: string | undefined): number {
  const found = /^broker-(\d+)$/.exec(clientId ?? '')
  return found ? Number(found[1]) : -1
}
