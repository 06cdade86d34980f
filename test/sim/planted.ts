// Bugs that are put into the running code by a test, to see whether the simulator would find them.
import { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import { ConsulFailure } from '../../src/cluster/consul/consul-port.ts'
import { ControllerMachine } from '../../src/cluster/controller-machine.ts'
import { Leadership } from '../../src/cluster/leadership.ts'
import { LockLeadership } from '../../src/cluster/lock.ts'
import { MetadataImage } from '../../src/cluster/metadata-image.ts'
import { Partition } from '../../src/cluster/partition.ts'
import { PartitionChanges } from '../../src/cluster/partition-changes.ts'
import { Partitions } from '../../src/cluster/partitions.ts'
import { GroupShard } from '../../src/coordinator/group/group-shard.ts'
import { LeaderEpochCache } from '../../src/log/leader-epoch-cache.ts'
import { PartitionLog } from '../../src/log/partition-log.ts'
import { ProducerStates } from '../../src/log/producer-states.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { SimConsul, SimConsulPort } from './sim-consul.ts'
import { SimProcess } from './sim-host.ts'
import type { Profile } from './sim-nemesis.ts'
import { partitionsOf } from './sim-observer.ts'

export type PlantedBug = {
  readonly name: string
  /** Under which it can show. */
  readonly profile: Profile
  /** @returns takes it out again */
  plant(): () => void
}

/** Puts another function in the place of one of a class. */
function method<Target extends object, Name extends keyof Target>(
  { prototype }: { readonly prototype: Target },
  name: Name,
  make: (original: Target[Name]) => Target[Name],
): () => void {
  const original = prototype[name]
  prototype[name] = make(original)
  return () => {
    prototype[name] = original
  }
}

function getter<Target extends object, Name extends keyof Target & string>(
  { prototype }: { readonly prototype: Target },
  name: Name,
  make: (self: Target, original: () => Target[Name]) => Target[Name],
): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)
  if (!original?.get) throw new Error(`${name} is no getter`)
  const get = original.get as () => Target[Name]
  Object.defineProperty(prototype, name, {
    ...original,
    get(this: Target) {
      return make(this, () => get.call(this))
    },
  })
  return () => void Object.defineProperty(prototype, name, original)
}

/** Runs after each word of the controller on a partition. */
const afterUpdate =
  (act: (partition: Partition, wasLeader: boolean, isNew: boolean) => void) => () =>
    method(
      Partition,
      'update',
      (original) =>
        function (this: Partition, image, mayLead) {
          const { isLeader, leaderEpoch } = this
          original.call(this, image, mayLead)
          act(this, isLeader, this.leaderEpoch !== leaderEpoch)
        },
    )

const withAcks = (acks: number, isMeant: (origin: string) => boolean) => () =>
  method(
    Partition,
    'append',
    (original) =>
      function (this: Partition, records, options, done) {
        const { origin = 'client' } = options
        const weaker = isMeant(origin) && options.acks === -1 ? { ...options, acks } : options
        original.call(this, records, weaker, done)
      },
  )

const replication: readonly PlantedBug[] = [
  {
    name: 'acknowledge before a follower has it',
    profile: 'single',
    plant: withAcks(1, (origin) => origin === 'client'),
  },
  {
    name: "acknowledge a group's commit before a follower has it",
    profile: 'single',
    plant: withAcks(1, (origin) => origin !== 'client'),
  },
  {
    name: 'the high watermark is the end of the leader alone',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'written',
        (original) =>
          function (this: Partition) {
            if (this.isLeader) this.log.highWatermark = this.log.writtenEndOffset
            original.call(this)
          },
      ),
  },
  {
    name: 'a new leader takes its own end for the high watermark',
    profile: 'single',
    plant: afterUpdate(({ isLeader, log }, _was, isNew) => {
      if (isLeader && isNew && log.state === 'open') log.highWatermark = log.logEndOffset
    }),
  },
  {
    name: 'consumers read beyond the high watermark',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'read',
        () =>
          function (this: Partition, offset, maxBytes, { minOneBatch }) {
            return this.readForReplica(offset, maxBytes, minOneBatch)
          },
      ),
  },
  {
    name: 'a follower confirms what is not durable',
    profile: 'durable',
    plant: () =>
      method(
        Partition,
        'whenCounted',
        () =>
          function (this: Partition, waiter) {
            this.log.whenWritten(this.log.logEndOffset, waiter)
          },
      ),
  },
  {
    name: 'a follower says that it has one batch more than it has',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'replicaFetched',
        (original) =>
          function (this: Partition, fetch) {
            const fetchOffset = Math.min(fetch.fetchOffset + 3, this.log.writtenEndOffset)
            return original.call(this, { ...fetch, fetchOffset })
          },
      ),
  },
  {
    name: 'truncate to the high watermark instead of by epoch',
    profile: 'single',
    plant: afterUpdate(({ isFollower, log }, _was, isNew) => {
      if (isFollower && isNew && log.state === 'open') void log.truncateTo(log.highWatermark)
    }),
  },
  {
    name: 'never truncate',
    profile: 'single',
    plant: () => method(Partition, 'truncateToLeader', () => async () => {}),
  },
  {
    name: 'fetch without telling the last epoch',
    profile: 'single',
    plant: () =>
      getter(Partition, 'fetchPosition', (_self, original) => ({
        ...original(),
        lastFetchedEpoch: -1,
      })),
  },
  {
    name: 'keep the epochs of what was truncated',
    profile: 'single',
    plant: () => method(LeaderEpochCache, 'truncateEnd', () => () => {}),
  },
  {
    name: 'take what a former leader sent',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'follows',
        () =>
          function (this: Partition) {
            return this.isFollower
          },
      ),
  },
  {
    name: 'a deposed leader does not step down',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'update',
        (original) =>
          function (this: Partition, image, mayLead) {
            if (!this.isLeader || image.leader === this.leaderId)
              original.call(this, image, mayLead)
          },
      ),
  },
  {
    name: 'forget the producers on failover',
    profile: 'single',
    plant: afterUpdate(({ isLeader, log }, _was, isNew) => {
      if (isLeader && isNew) log.producers.clear()
    }),
  },
  {
    name: 'do not recognize a batch that comes again',
    profile: 'single',
    plant: () => {
      const undo = [
        method(ProducerStates, 'findDuplicate', () => () => undefined),
        method(ProducerStates, 'check', () => () => ErrorCode.NONE),
      ]
      return () => {
        for (const each of undo) each()
      }
    },
  },
]

const durability: readonly PlantedBug[] = [
  {
    name: 'acknowledge before the flush',
    profile: 'durable',
    plant: () => {
      const undo = [
        method(
          PartitionLog,
          'whenFlushed',
          () =>
            function (this: PartitionLog, offset, waiter) {
              this.whenWritten(offset, waiter)
            },
        ),
        getter(Partition, 'countedEnd', ({ log }) => log.writtenEndOffset),
      ]
      return () => {
        for (const each of undo) each()
      }
    },
  },
  {
    name: 'skip the checksum on recovery',
    profile: 'single',
    plant: () =>
      getter(SimProcess, 'io', (process, original) => {
        const io = original()
        if (!process.host.name.startsWith('b')) return io
        const magicAt = 16
        // The stored checksum of a batch stands just before what it covers.
        const crc32c: typeof io.crc32c = (buffer, start, end) =>
          start > magicAt && buffer[start - 5] === 2
            ? buffer.readUInt32BE(start - 4)
            : io.crc32c(buffer, start, end)
        return { ...io, crc32c }
      }),
  },
]

const groups: readonly PlantedBug[] = [
  {
    name: 'serve groups before they are loaded',
    profile: 'single',
    plant: () => getter(GroupShard, 'refusal', () => ErrorCode.NONE),
  },
]

const isr: readonly PlantedBug[] = [
  {
    name: 'a smaller ISR counts as soon as it is asked for',
    profile: 'single',
    plant: () =>
      method(
        Partitions,
        'propose',
        (original) =>
          function (this: Partitions, proposal) {
            const partition = this.replicaById(proposal.topicId, proposal.partitionIndex)
            if (partition && proposal.isr.length < partition.isr.length) {
              partition.isr = proposal.isr.map(({ brokerId }) => brokerId)
            }
            original.call(this, proposal)
          },
      ),
  },
  {
    name: 'count the leader alone while a change of the ISR is asked for',
    profile: 'single',
    plant: () =>
      getter(Leadership, 'maximalIsr', (self, original) =>
        self.hasPending ? original().slice(0, 1) : original(),
      ),
  },
  {
    name: 'a follower joins the ISR wherever its log ends',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'replicaFetched',
        (original) =>
          function (this: Partition, fetch) {
            const isIn = this.isr.includes(fetch.brokerId)
            const fetchOffset = isIn ? fetch.fetchOffset : this.log.writtenEndOffset
            return original.call(this, { ...fetch, fetchOffset })
          },
      ),
  },
  {
    name: 'take the word of a process that has a successor',
    profile: 'single',
    plant: () =>
      method(
        Partition,
        'replicaFetched',
        (original) =>
          function (this: Partition, fetch) {
            const brokerEpoch = partitionsOf(SimProcess.current)?.brokerEpoch(fetch.brokerId) ?? -1
            return original.call(this, { ...fetch, brokerEpoch })
          },
      ),
  },
  {
    name: 'lead before the own registration is known',
    profile: 'single',
    plant: () => getter(Partitions, 'ownBrokerEpoch', (_self, original) => Math.max(0, original())),
  },
]

const controller: readonly PlantedBug[] = [
  {
    name: 'use a leader epoch again',
    profile: 'single',
    plant: () =>
      method(
        PartitionChanges,
        'records',
        (original) =>
          function (this: PartitionChanges) {
            return original.call(this).map((record) => {
              if (record.kind !== 'partitionChange' || record.leader < 0) return record
              return { ...record, leaderEpoch: Math.max(0, record.leaderEpoch - 1) }
            })
          },
      ),
  },
  {
    name: 'elect whoever lives',
    profile: 'single',
    plant: () =>
      method(
        PartitionChanges,
        'change',
        (original) =>
          function (this: PartitionChanges, topic, partitionIndex, target) {
            return original.call(this, topic, partitionIndex, target, 'unclean')
          },
      ),
  },
  {
    name: 'keep who lost power in the ISR',
    profile: 'single',
    plant: () =>
      method(
        ControllerMachine,
        'registerBroker',
        (original) =>
          function (this: ControllerMachine, registration) {
            const known = this.image.brokers.get(registration.brokerId)
            const bootId = known?.bootId ?? registration.bootId
            return original.call(this, { ...registration, bootId, logsWhole: true })
          },
      ),
  },
  {
    name: 'no new leader epoch for a leader that started again',
    profile: 'single',
    plant: () =>
      method(
        PartitionChanges,
        'change',
        (original) =>
          function (this: PartitionChanges, topic, partitionIndex, target, kind) {
            const { restarted: _restarted, ...rest } = target
            return original.call(this, topic, partitionIndex, rest, kind)
          },
      ),
  },
  {
    name: 'a broker misses an entry of the metadata',
    profile: 'single',
    plant: () =>
      method(
        MetadataImage,
        'applyEntry',
        (original) =>
          function (this: MetadataImage, index, records, delta) {
            const isMissed = SimProcess.current?.host.name === 'b2' && index % 13 === 12
            original.call(this, index, isMissed ? [] : records, delta)
          },
      ),
  },
]

const store: readonly PlantedBug[] = [
  {
    name: 'drop the session check from the append',
    profile: 'single',
    plant: () =>
      method(
        SimConsul,
        'transact',
        (original) =>
          function (this: SimConsul, operations) {
            return original.call(
              this,
              operations.filter(({ verb }) => verb !== 'check-session'),
            )
          },
      ),
  },
  {
    name: 'append without comparing the head',
    profile: 'single',
    plant: () =>
      method(
        SimConsul,
        'transact',
        (original) =>
          function (this: SimConsul, operations) {
            const blind = operations.map((operation) =>
              operation.verb === 'cas' && operation.key.endsWith('/head')
                ? ({ ...operation, verb: 'set' } as const)
                : operation,
            )
            return original.call(
              this,
              blind.filter(({ verb }) => verb !== 'check-session'),
            )
          },
      ),
  },
  {
    name: 'take a lost answer for a success',
    profile: 'single',
    plant: () =>
      method(
        SimConsulPort,
        'transaction',
        (original) =>
          async function (this: SimConsulPort, operations) {
            try {
              return await original.call(this, operations)
            } catch (error) {
              const isUnknown = error instanceof ConsulFailure && error.kind === 'unknown'
              if (!isUnknown || operations[0]?.verb !== 'check-session') throw error
              return { committed: true, modifyIndexes: new Map() }
            }
          },
      ),
  },
  {
    name: 'keep a lead that could not be taken up',
    profile: 'single',
    plant: () => method(LockLeadership, 'release', () => async () => {}),
  },
  {
    name: 'a reader takes its own entries for all there are',
    profile: 'single',
    plant: () =>
      method(
        ConsulMetadataStore,
        'read',
        (original) =>
          async function (this: ConsulMetadataStore, fromIndex, maxBytes) {
            const read = await original.call(this, fromIndex, maxBytes)
            const isOff = SimProcess.current?.host.name === 'b3' && fromIndex > 10
            return isOff ? { snapshot: undefined, entries: [] } : read
          },
      ),
  },
]

export const plantedBugs: readonly PlantedBug[] = [
  ...replication,
  ...durability,
  ...groups,
  ...isr,
  ...controller,
  ...store,
]
