// Bugs in what a cluster decides and writes down: the controller, the metadata log, its store in Consul.
import { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import {
  ConsulFailure,
  type ConsulOperation,
  type ConsulPort,
} from '../../src/cluster/consul/consul-port.ts'
import { ControllerMachine } from '../../src/cluster/controller-machine.ts'
import { LockLeadership } from '../../src/cluster/lock.ts'
import { MetadataImage } from '../../src/cluster/metadata-image.ts'
import { PartitionChanges } from '../../src/cluster/partition-changes.ts'
import { all, around, given, instead, type Plant, type PlantedBug } from './planted-code.ts'
import { SimProcess } from './sim-host.ts'

const COMMANDS = 'unit/cluster/broker-commands'
const CONSUL = 'sim/sim-consul'

/** In a simulated cluster one broker has the bug, elsewhere everybody has it. */
function concerns(broker: string): boolean {
  const host = SimProcess.current?.host.name
  return host === undefined || host === broker || !/^b\d$/.test(host)
}

/** What a store sends to Consul goes another way. */
const sending = (
  send: (
    operations: readonly ConsulOperation[],
    original: ConsulPort['transaction'],
  ) => ReturnType<ConsulPort['transaction']>,
): Plant =>
  around(
    ConsulMetadataStore as { open: typeof ConsulMetadataStore.open },
    'open',
    (_self, original, options) => {
      const { port } = options
      const transaction = port.transaction.bind(port)
      const through = new Proxy(port, {
        get(target, name: keyof ConsulPort) {
          if (name !== 'transaction') return target[name].bind(target)
          return (operations: readonly ConsulOperation[]) => send(operations, transaction)
        },
      })
      return original({ ...options, port: through })
    },
  )

const isEntry = ([first]: readonly ConsulOperation[]): boolean => first?.verb === 'check-session'
const unfenced = (operations: readonly ConsulOperation[]): readonly ConsulOperation[] =>
  operations.filter(({ verb }) => verb !== 'check-session')
const blind = (operations: readonly ConsulOperation[]): readonly ConsulOperation[] =>
  operations.map((operation) =>
    isEntry(operations) && operation.verb === 'cas' && operation.key.endsWith('/head')
      ? { verb: 'set', key: operation.key, value: operation.value }
      : operation,
  )

const controller: readonly PlantedBug[] = [
  {
    name: 'use a leader epoch again',
    where: 'cluster/partition-change.ts',
    profile: 'single',
    caughtBy: { file: COMMANDS, test: 'a fenced leader is followed by the next in-sync replica' },
    plant: around(PartitionChanges.prototype, 'records', (_self, original) =>
      original().map((record) => {
        if (record.kind !== 'partitionChange' || record.leader < 0) return record
        return { ...record, leaderEpoch: Math.max(0, record.leaderEpoch - 1) }
      }),
    ),
  },
  {
    name: 'elect whoever lives',
    where: 'cluster/partition-change.ts',
    profile: 'single',
    caughtBy: { file: COMMANDS, test: 'eligible leaders (KIP-966)' },
    plant: given(PartitionChanges, 'change', (_self, topic, partitionIndex, target) => {
      return [topic, partitionIndex, target, 'unclean'] as const
    }),
  },
  {
    name: 'keep who lost power in the ISR',
    where: 'cluster/broker-commands.ts',
    profile: 'single',
    caughtBy: {
      file: COMMANDS,
      test: 'who comes back with everything stays in sync, but leads nothing',
    },
    plant: given(ControllerMachine, 'registerBroker', ({ image }, registration) => {
      const known = image.brokers.get(registration.brokerId)
      const bootId = known?.bootId ?? registration.bootId
      return [{ ...registration, bootId, logsWhole: true }] as const
    }),
  },
  {
    name: 'a leader that starts again leads on in its epoch',
    where: 'cluster/broker-commands.ts',
    profile: 'single',
    caughtBy: {
      file: COMMANDS,
      test: 'who comes back with everything stays in sync, but leads nothing',
    },
    plant: all(
      given(ControllerMachine, 'registerBroker', (_self, registration) => {
        return [{ ...registration, unfenced: true }] as const
      }),
      given(PartitionChanges, 'change', (_self, topic, partitionIndex, target, kind) => {
        const { restarted: _restarted, ...rest } = target
        return [topic, partitionIndex, rest, kind] as const
      }),
    ),
  },
  {
    name: 'a broker misses an entry of the metadata',
    where: 'cluster/metadata-tail.ts',
    profile: 'single',
    caughtBy: {
      file: 'unit/cluster/metadata-tail',
      test: 'every entry reaches the image, one by one or many at once',
    },
    plant: given(MetadataImage, 'applyEntry', (_self, index, records, delta) => {
      const isMissed = index % 13 === 12 && concerns('b2')
      return [index, isMissed ? [] : records, delta] as const
    }),
  },
]

const store: readonly PlantedBug[] = [
  {
    name: 'drop the session check from the append',
    where: 'cluster/consul/head-writer.ts',
    profile: 'single',
    caughtBy: { file: CONSUL, test: 'a deposed controller writes nothing, though nobody followed' },
    plant: sending((operations, send) => send(unfenced(operations))),
  },
  {
    name: 'append without comparing the head',
    where: 'cluster/consul/head-writer.ts',
    profile: 'single',
    caughtBy: {
      file: CONSUL,
      test: 'Consul: a copy of an append that arrives behind later ones is void',
    },
    plant: sending((operations, send) => send(blind(operations))),
  },
  {
    name: 'take a lost answer for a success',
    where: 'cluster/consul/head-writer.ts',
    profile: 'single',
    caughtBy: {
      file: CONSUL,
      test: 'Consul: deposed after the answer was lost, which never',
    },
    plant: sending(async (operations, send) => {
      try {
        return await send(operations)
      } catch (error) {
        const isUnknown = error instanceof ConsulFailure && error.kind === 'unknown'
        if (!isUnknown || !isEntry(operations)) throw error
        return { committed: true, modifyIndexes: new Map() }
      }
    }),
  },
  {
    name: 'keep a lead that could not be taken up',
    where: 'cluster/controller.ts',
    profile: 'single',
    caughtBy: {
      file: 'unit/cluster/controller',
      test: 'a lead that could not be taken up is given back',
    },
    plant: instead(LockLeadership, 'release', async () => {}),
  },
  {
    name: 'a reader takes its own entries for all there are',
    where: 'cluster/consul/consul-metadata-store.ts',
    profile: 'single',
    caughtBy: { file: CONSUL, test: 'a reader goes on from any entry' },
    plant: around(
      ConsulMetadataStore.prototype,
      'read',
      async (_self, original, fromIndex, maxBytes) => {
        const isOff = fromIndex > 10 && concerns('b3')
        return isOff ? { snapshot: undefined, entries: [] } : original(fromIndex, maxBytes)
      },
    ),
  },
]

export const metadataBugs: readonly PlantedBug[] = [...controller, ...store]
