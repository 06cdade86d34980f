// Bugs in what one broker does with its replicas: replication, durability, recovery, groups, the in-sync set.
import { Leadership } from '../../src/cluster/leadership.ts'
import { Partition } from '../../src/cluster/partition.ts'
import { Partitions } from '../../src/cluster/partitions.ts'
import type { ReplicaFetch } from '../../src/cluster/replica-state.ts'
import { GroupShard } from '../../src/coordinator/group/group-shard.ts'
import { LeaderEpochCache } from '../../src/log/leader-epoch-cache.ts'
import { LogDirs } from '../../src/log/log-dirs.ts'
import { PartitionLog } from '../../src/log/partition-log.ts'
import { ProducerStates } from '../../src/log/producer-states.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { all, around, getter, given, instead, type Plant, type PlantedBug } from './planted-code.ts'

const REPLICATION = 'unit/cluster/replication'
const PROMISES = 'unit/cluster/replica-promises'
const PARTITIONS = 'unit/cluster/partitions'

/** What asks for acks=all is answered as acks=1. */
const weakened = (isMeant: (origin: string) => boolean): Plant =>
  given(Partition, 'append', (_self, records, options, done) => {
    const { origin = 'client', acks } = options
    const weaker = isMeant(origin) && acks === -1 ? { ...options, acks: 1 } : options
    return [records, weaker, done] as const
  })

/** Runs after each word of the controller that begins a new leader epoch. */
const inNewEpoch = (act: (partition: Partition) => void): Plant =>
  around(Partition.prototype, 'update', (partition, original, image, mayLead) => {
    const { leaderEpoch } = partition
    original(image, mayLead)
    if (partition.leaderEpoch !== leaderEpoch) act(partition)
  })

/** The high watermark does not wait for the followers. */
const leaderAlone = (isMeant: (leadership: Leadership) => boolean): Plant =>
  around(Leadership.prototype, 'highWatermark', (leadership, original) => {
    if (!isMeant(leadership)) return original()
    const followers = [...leadership.followers]
    const ends = followers.map(({ logEndOffset }) => logEndOffset)
    for (const follower of followers) follower.logEndOffset = Number.MAX_SAFE_INTEGER
    const end = original()
    followers.forEach((follower, at) => {
      follower.logEndOffset = ends[at] as number
    })
    return end
  })

/** A follower's fetch counts as another one. */
const fetchTakenAs = (
  other: (partition: Partition, fetch: ReplicaFetch) => Partial<ReplicaFetch>,
): Plant =>
  given(Partition, 'replicaFetched', (partition, fetch) => {
    return [{ ...fetch, ...other(partition, fetch) }] as const
  })

const committing: readonly PlantedBug[] = [
  {
    name: 'acknowledge before a follower has it',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'what is acknowledged with acks=all is on every member of the ISR',
    },
    plant: weakened((origin) => origin === 'client'),
  },
  {
    name: "acknowledge a group's commit before a follower has it",
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: {
      file: 'unit/server/coordinator-ports',
      test: 'what a coordinator writes is done when every member of the ISR has it',
    },
    plant: weakened((origin) => origin !== 'client'),
  },
  {
    name: 'the high watermark is the end of the leader alone',
    where: 'cluster/leadership.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'what is acknowledged with acks=all is on every member of the ISR',
    },
    plant: leaderAlone(() => true),
  },
  {
    name: 'a new leader takes its own end for the high watermark',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'a new leader tells no end before it knows what is committed',
    },
    plant: inNewEpoch(({ isLeader, log }) => {
      if (isLeader && log.state === 'open') log.highWatermark = log.logEndOffset
    }),
  },
  {
    name: 'consumers read beyond the high watermark',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'consumers read what is committed, and no more' },
    plant: instead(Partition, 'read', (partition, offset, maxBytes, { minOneBatch }) =>
      partition.readForReplica(offset, maxBytes, minOneBatch),
    ),
  },
  {
    name: 'a follower says that it has one batch more than it has',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'what is acknowledged with acks=all is on every member of the ISR',
    },
    plant: fetchTakenAs(({ log }, { fetchOffset }) => ({
      fetchOffset: Math.min(fetchOffset + 3, log.writtenEndOffset),
    })),
  },
]

const following: readonly PlantedBug[] = [
  {
    name: 'truncate to the high watermark instead of by epoch',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'a follower keeps what its new leader has, too' },
    plant: inNewEpoch(({ isFollower, log }) => {
      if (isFollower && log.state === 'open') void log.truncateTo(log.highWatermark)
    }),
  },
  {
    name: 'never truncate',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'a follower gives up what its new leader does not have' },
    plant: instead(Partition, 'truncateToLeader', async () => {}),
  },
  {
    name: 'fetch without telling the last epoch',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'a follower gives up what its new leader does not have' },
    plant: getter(Partition, 'fetchPosition', (_self, original) => ({
      ...original(),
      lastFetchedEpoch: -1,
    })),
  },
  {
    name: 'keep the epochs of what was truncated',
    where: 'log/leader-epoch-cache.ts',
    profile: 'single',
    caughtBy: {
      file: 'unit/log/partition-log',
      test: 'truncation forgets offsets, epochs and sequences',
    },
    plant: instead(LeaderEpochCache, 'truncateEnd', () => {}),
  },
  {
    name: 'take what a former leader sent',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'what a former leader sends is not taken' },
    plant: instead(Partition, 'follows', ({ isFollower }) => isFollower),
  },
  {
    name: 'a deposed leader does not step down',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'who hears of another leader leads no more' },
    plant: around(Partition.prototype, 'update', (partition, original, image, mayLead) => {
      if (!partition.isLeader || image.leader === partition.leaderId) original(image, mayLead)
    }),
  },
  {
    name: 'forget the producers on failover',
    where: 'cluster/partition.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'a new leader knows a batch again that comes twice' },
    plant: inNewEpoch(({ isLeader, log }) => {
      if (isLeader) log.producers.clear()
    }),
  },
  {
    name: 'do not recognize a batch that comes again',
    where: 'log/producer-states.ts',
    profile: 'single',
    caughtBy: { file: PROMISES, test: 'a new leader knows a batch again that comes twice' },
    plant: all(
      instead(ProducerStates, 'findDuplicate', () => undefined),
      instead(ProducerStates, 'check', () => ErrorCode.NONE),
    ),
  },
]

const durability: readonly PlantedBug[] = [
  {
    name: 'acknowledge before the flush',
    where: 'cluster/partition.ts',
    profile: 'durable',
    caughtBy: { file: PARTITIONS, test: 'flush.messages=1: acknowledged means durable' },
    plant: all(
      instead(PartitionLog, 'whenFlushed', (log, offset, waiter) =>
        log.whenWritten(offset, waiter),
      ),
      getter(Partition, 'countedEnd', ({ log }) => log.writtenEndOffset),
    ),
  },
  {
    name: 'a follower confirms what is not durable',
    where: 'cluster/partition.ts',
    profile: 'durable',
    caughtBy: {
      file: REPLICATION,
      test: 'with flush.messages=1 it is durable on every member',
    },
    plant: all(
      instead(Partition, 'whenCounted', ({ log }, waiter) =>
        log.whenWritten(log.logEndOffset, waiter),
      ),
      getter(Partition, 'isCounted', ({ log }) => log.writtenEndOffset >= log.logEndOffset),
    ),
  },
  {
    name: 'skip the checksums of batches',
    where: 'log/batch-scan.ts',
    profile: 'single',
    caughtBy: {
      file: 'sim/log-crash',
      test: 'a flipped bit in an unflushed segment is where the log ends',
    },
    plant: around(LogDirs as { open: typeof LogDirs.open }, 'open', (_self, original, io, how) => {
      const magicAt = 16
      // The stored checksum of a batch stands just before what it covers.
      const crc32c: typeof io.crc32c = (buffer, start, end) =>
        start > magicAt && buffer[start - 5] === 2
          ? buffer.readUInt32BE(start - 4)
          : io.crc32c(buffer, start, end)
      return original({ ...io, crc32c }, how)
    }),
  },
  {
    name: 'serve groups before they are loaded',
    where: 'coordinator/group/group-shard.ts',
    profile: 'single',
    caughtBy: {
      file: 'unit/coordinator/group-coordinator',
      test: 'while a partition is loaded its clients are told to wait',
    },
    plant: getter(GroupShard, 'refusal', () => ErrorCode.NONE),
  },
]

const inSyncSet: readonly PlantedBug[] = [
  {
    name: 'a smaller ISR counts as soon as it is asked for',
    where: 'cluster/leadership.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'while a shrink is not decided the member that leaves is waited for',
    },
    plant: given(Partitions, 'propose', (partitions, proposal) => {
      const partition = partitions.replicaById(proposal.topicId, proposal.partitionIndex)
      if (partition && proposal.isr.length < partition.isr.length) {
        partition.isr = proposal.isr.map(({ brokerId }) => brokerId)
      }
      return [proposal] as const
    }),
  },
  {
    name: 'count the leader alone while a change of the ISR is asked for',
    where: 'cluster/leadership.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'who is about to join counts, until it is known that it did not',
    },
    plant: leaderAlone(({ hasPending }) => hasPending),
  },
  {
    name: 'a follower joins the ISR wherever its log ends',
    where: 'cluster/isr.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'replicas that are throttled catch up at the rate, those in sync are not held',
    },
    plant: fetchTakenAs(({ isr, log }, { brokerId, fetchOffset }) => ({
      fetchOffset: isr.includes(brokerId) ? fetchOffset : log.writtenEndOffset,
    })),
  },
  {
    name: 'take the word of a process that has a successor',
    where: 'cluster/leadership.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'a follower whose log parted from the leader counts for nothing',
    },
    plant: () => {
      // Brokers agree on epochs, so those of any will do.
      let known: Partitions | undefined
      return all(
        given(Partitions, 'noteFetch', (partitions, brokerId, atMs) => {
          known = partitions
          return [brokerId, atMs] as const
        }),
        fetchTakenAs((_partition, { brokerId, brokerEpoch }) => ({
          brokerEpoch: known?.brokerEpoch(brokerId) ?? brokerEpoch,
        })),
      )()
    },
  },
  {
    name: 'lead before the own registration is known',
    where: 'cluster/partitions.ts',
    profile: 'single',
    caughtBy: {
      file: REPLICATION,
      test: 'a leader that starts anew leads nothing before it is registered',
    },
    plant: getter(Partitions, 'ownBrokerEpoch', (_self, original) => Math.max(0, original())),
  },
]

export const replicaBugs: readonly PlantedBug[] = [
  ...committing,
  ...following,
  ...durability,
  ...inSyncSet,
]
