// Goal: many who ask for the head at once do not wait for one another's readings, and nobody is told an older head than the
// one of his question. Method: a store on the simulated Consul, with a port that counts.
import t from 'tap'
import { silentLogger } from '../../../../src/base/logger.ts'
import { ConsulKeys } from '../../../../src/cluster/consul/consul-keys.ts'
import { ConsulMetadataStore } from '../../../../src/cluster/consul/consul-metadata-store.ts'
import type { ConsulPort } from '../../../../src/cluster/consul/consul-port.ts'
import { SimConsul } from '../../../sim/sim-consul.ts'
import { createSimIo } from '../../../sim/sim-io.ts'

const keys = new ConsulKeys('lmq', 'cluster')

t.test('a look at the head is shared by all who asked before it began', async (t) => {
  const world = createSimIo(21)
  const consul = new SimConsul(world.scheduler, world.random)
  let looks = 0
  const counting = (port: ConsulPort): ConsulPort =>
    new Proxy(port, {
      get(target, name: keyof ConsulPort) {
        if (name === 'get') {
          return (...args: Parameters<ConsulPort['get']>) => {
            const [key, { consistent }] = args
            if (key === keys.head && consistent) looks++
            return target.get(...args)
          }
        }
        return (target[name] as (...args: unknown[]) => unknown).bind(target)
      },
    })
  const open = (port: ConsulPort, broker: string) =>
    ConsulMetadataStore.open({
      ...{ io: world.io, port, prefix: 'lmq', clusterId: 'cluster', folder: `/${broker}` },
      ...{ logger: silentLogger, sessionTtlMs: 10_000, startTimeoutMs: 5_000 },
    })
  await world.run(async () => {
    const one = await open(consul.connect(), 'one')
    const two = await open(counting(consul.connect()), 'two')
    const leadership = await one.lead({ brokerId: 1, incarnationId: 'run' })
    if (!leadership) throw new Error('the leadership is taken')
    await one.append(leadership, -1, Buffer.from('a'))
    looks = 0
    const heads = await Promise.all(Array.from({ length: 20 }, () => two.head()))
    t.ok(looks <= 2, `${looks} looks`)
    t.same(new Set(heads.map(({ index }) => index)), new Set([0]))
    for (let index = 1; index < 30; index++) {
      const early = two.head()
      await one.append(leadership, index - 1, Buffer.from('more'))
      const late = await two.head()
      t.equal(late.index, index, 'what was there when it was asked for')
      await early
    }
    await one.close()
    await two.close()
  })
})
