// The rules of replication one by one: who is in sync, what is committed, where logs part, what a session names.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { highWatermarkOf, laggards, maximalIsr, mayJoin } from '../../../src/cluster/isr.ts'
import {
  type AlterPartitionRequest,
  type AlterPartitionResponse,
  IsrChanges,
} from '../../../src/cluster/isr-changes.ts'
import type { IsrOutcome, IsrProposal } from '../../../src/cluster/leadership.ts'
import type { Partition } from '../../../src/cluster/partition.ts'
import { type FollowedPartition, ReplicaSession } from '../../../src/cluster/replica-session.ts'
import { type ReplicaFetch, ReplicaState } from '../../../src/cluster/replica-state.ts'
import {
  isThrottledReplica,
  ReplicationThrottle,
} from '../../../src/cluster/replication-throttle.ts'
import { truncationOffset } from '../../../src/cluster/truncation.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'

const fetchOf = (
  brokerId: number,
  fetchOffset: number,
  atMs = 0,
  brokerEpoch = 5,
): ReplicaFetch => ({
  brokerId,
  brokerEpoch,
  fetchOffset,
  logStartOffset: 0,
  atMs,
})

const replicas = (...ends: (readonly [brokerId: number, end: number, caughtUpMs?: number])[]) =>
  new Map(
    ends.map(([brokerId, end, caughtUpMs = 0]) => {
      const replica = new ReplicaState(brokerId, caughtUpMs)
      replica.logEndOffset = end
      replica.brokerEpoch = 5
      return [brokerId, replica] as const
    }),
  )

const view = {
  highWatermark: 10,
  epochStartOffset: 12,
  leaderEnd: 20,
  nowMs: 1_000,
  lagTimeMaxMs: 100,
  eligibleEpoch: () => 5,
}

t.test('the maximal ISR has everybody who may be in it', async (t) => {
  t.same(maximalIsr([1, 2], undefined), [1, 2])
  t.same(maximalIsr([1, 2], { isr: [1, 2, 3] }), [1, 2, 3])
  t.same(maximalIsr([1, 2, 3], { isr: [1, 2] }), [1, 2, 3])
})

t.test('the high watermark', async (t) => {
  const at = (members: number[], all: ReturnType<typeof replicas>, change = {}) =>
    highWatermarkOf(members, all, { ...view, ...change })
  t.equal(at([1], replicas()), 20, 'alone')
  t.equal(at([1, 2], replicas([2, 15])), 15)
  t.equal(at([1, 2, 3], replicas([2, 15], [3, 13])), 13)
  t.equal(at([1, 2], replicas([2, -1])), 10, 'a member that has not fetched holds it')
  t.equal(at([1, 2], replicas([2, 4])), 10, 'it never goes back')
  t.equal(at([1], replicas([2, 15])), 20, 'who is not in sync does not count')
  t.equal(at([1], replicas([2, 15, 950])), 15, 'who is caught up and about to join does')
  t.equal(at([1], replicas([2, 15, 950]), { eligibleEpoch: () => -1 }), 20, 'unless it may not')
  t.equal(at([1], replicas([2, 15, 950]), { eligibleEpoch: () => 6 }), 20, 'or is another process')
})

t.test('who may join the ISR', async (t) => {
  const may = (end: number, change = {}) => {
    const replica = replicas([2, end]).get(2)
    return replica !== undefined && mayJoin(replica, { ...view, ...change })
  }
  t.ok(may(12))
  t.notOk(may(11), 'below the start of the epoch it may hold what the leader does not')
  t.notOk(may(12, { highWatermark: 13 }))
  t.notOk(may(12, { eligibleEpoch: () => -1 }), 'fenced')
  t.notOk(may(12, { eligibleEpoch: () => 6 }), 'another process of that broker')
})

t.test('who is late', async (t) => {
  const all = replicas([2, 20, 0], [3, 19, 950], [4, 19, 850])
  t.same(laggards([1, 2, 3, 4], all, view), [4])
  t.same(laggards([1, 2, 3], all, view), [])
})

t.test('caught up is who had, when it asked, what there was then', async (t) => {
  const replica = new ReplicaState(2, Number.NEGATIVE_INFINITY)
  replica.fetched(fetchOf(2, 5, 100), 10)
  t.equal(replica.lastCaughtUpMs, Number.NEGATIVE_INFINITY)
  // It has by now what there was at its last request: it was caught up then.
  replica.fetched(fetchOf(2, 10, 200), 30)
  t.equal(replica.lastCaughtUpMs, 100)
  replica.fetched(fetchOf(2, 30, 300), 30)
  t.equal(replica.lastCaughtUpMs, 300)
  t.ok(replica.isCaughtUp(30, 10_000, 100), 'nothing came since')
  t.ok(replica.isCaughtUp(31, 400, 100))
  t.notOk(replica.isCaughtUp(31, 401, 100))
})

t.test('a long poll that is read once more says nothing new', async (t) => {
  const replica = new ReplicaState(2, Number.NEGATIVE_INFINITY)
  replica.fetched(fetchOf(2, 5, 100), 10)
  replica.fetched(fetchOf(2, 10, 200), 10)
  replica.fetched(fetchOf(2, 5, 100), 10)
  t.equal(replica.logEndOffset, 10)
  t.ok(replica.isCaughtUp(10, 10_000, 100))
  replica.fetched(fetchOf(2, 5, 300), 10)
  t.equal(replica.logEndOffset, 5, 'another process of it, with less')
})

t.test('where logs part (KIP-101, KIP-279)', async (t) => {
  /** Epochs and their starts, as a follower knows them. */
  const follower = (
    logEndOffset: number,
    highWatermark: number,
    ...epochs: [number, number][]
  ) => ({
    logEndOffset,
    highWatermark,
    endOffsetForEpoch(epoch: number) {
      let found = { epoch: -1, endOffset: -1 }
      for (const [index, [one]] of epochs.entries()) {
        if (one <= epoch) found = { epoch: one, endOffset: epochs[index + 1]?.[1] ?? logEndOffset }
      }
      return found
    },
  })
  const at = truncationOffset
  t.equal(at({ epoch: 1, endOffset: 8 }, follower(10, 3, [1, 0])), 8, 'not to the high watermark')
  t.equal(at({ epoch: 1, endOffset: 12 }, follower(10, 3, [1, 0], [2, 7])), 7)
  t.equal(at({ epoch: 1, endOffset: 5 }, follower(10, 3, [1, 0], [2, 7])), 5)
  t.equal(
    at({ epoch: 3, endOffset: 9 }, follower(10, 3, [1, 0], [2, 4], [5, 6])),
    6,
    'and asks again',
  )
  t.equal(at({ epoch: 1, endOffset: 4 }, follower(10, 3, [5, 2])), 4)
  t.equal(at({ epoch: -1, endOffset: 4 }, follower(10, 3, [5, 2])), 4)
  t.equal(at({ epoch: -1, endOffset: -1 }, follower(10, 3, [5, 2])), 3)
})

t.test('a throttle holds its rate, however large the batches', async (t) => {
  let nowMs = 0
  let rate = 1_000
  const throttle = new ReplicationThrottle({ nowMs: () => nowMs }, () => rate)
  t.notOk(throttle.isExceeded)
  throttle.record(3_000)
  t.ok(throttle.isExceeded)
  t.equal(throttle.waitMs, 3_000)
  nowMs = 2_999
  t.ok(throttle.isExceeded)
  nowMs = 3_000
  t.notOk(throttle.isExceeded)
  t.equal(throttle.waitMs, 0)
  throttle.record(1)
  rate = 0
  t.equal(throttle.waitMs, Number.POSITIVE_INFINITY)
  t.ok(isThrottledReplica(['*'], 3, 1))
  t.ok(isThrottledReplica(['0:1', '3:1'], 3, 1))
  t.notOk(isThrottledReplica(['0:1', '3:1'], 3, 2))
  t.notOk(isThrottledReplica([], 3, 2))
})

// ------------------------------------------------------------------------------------------------ sessions

function followed(partitionIndex: number) {
  const position = { fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0 }
  const partition = {
    topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
    partitionIndex,
    leaderHighWatermark: -1,
    fetchPosition: position,
  }
  const key = `${partition.topicId}/${partitionIndex}`
  const entry: FollowedPartition = {
    key,
    partition: partition as unknown as Partition,
    leaderEpoch: 0,
    isReady: true,
    askedOffset: -1,
    askedLogStart: -1,
    failures: 0,
    lag: 0,
  }
  return { position, entry }
}

t.test('a session names only what changed', async (t) => {
  const all = new Map<string, FollowedPartition>()
  const session = new ReplicaSession(all, ({ isReady }) => isReady)
  t.equal(session.next(100, 1_000), undefined, 'nothing is followed')
  const [a, b] = [followed(0), followed(1)]
  for (const { entry } of [a, b]) {
    all.set(entry.key, entry)
    session.changed(entry.key)
  }
  const named = () => {
    const next = session.next(100, 1_000)
    return {
      asked: next?.topics.flatMap(({ partitions }) =>
        partitions.map(({ partition, fetchOffset }) => [partition, fetchOffset]),
      ),
      forgotten: next?.forgotten.flatMap(({ partitions }) => [...partitions]),
      epoch: session.epoch,
    }
  }
  t.same(named(), {
    asked: [
      [0, 0],
      [1, 0],
    ],
    forgotten: [],
    epoch: 0,
  })
  session.answered(77)
  t.same(named(), { asked: [], forgotten: [], epoch: 1 })
  session.answered(77)
  a.position.fetchOffset = 9
  session.changed(a.entry.key)
  b.entry.isReady = false
  session.changed(b.entry.key)
  t.same(named(), { asked: [[0, 9]], forgotten: [1], epoch: 2 })
  session.answered(77)
  b.entry.isReady = true
  session.changed(b.entry.key)
  all.delete(a.entry.key)
  session.changed(a.entry.key)
  t.same(named(), { asked: [[1, 0]], forgotten: [0], epoch: 3 })
  t.equal(session.sessionId, 77)
  // The leader keeps none.
  session.answered(0)
  t.same(named(), { asked: [[1, 0]], forgotten: [], epoch: 0 })
  session.answered(78)
  b.entry.isReady = false
  session.changed(b.entry.key)
  t.equal(session.next(100, 1_000), undefined)
  b.entry.isReady = true
  session.changed(b.entry.key)
  t.same(named(), { asked: [[1, 0]], forgotten: [], epoch: 0 }, 'the old session is replaced')
})

t.test('many partitions are named a part at a time', async (t) => {
  const all = new Map<string, FollowedPartition>()
  const session = new ReplicaSession(all, ({ isReady }) => isReady)
  for (let i = 0; i < 25; i++) {
    const { entry } = followed(i)
    all.set(entry.key, entry)
    session.changed(entry.key)
  }
  const sizes: (number | undefined)[] = []
  for (let isPartial = true; isPartial; ) {
    const next = session.next(100, 10)
    sizes.push(next?.topics[0]?.partitions.length)
    isPartial = next?.isPartial ?? false
    session.answered(5)
  }
  t.same(sizes, [10, 10, 5])
  session.reset()
  t.equal(session.next(100, 1_000)?.topics[0]?.partitions.length, 25)
})

// ------------------------------------------------------------------------------------------------ changes of ISRs

function changesOf() {
  const world = createSimIo(3)
  const requests: AlterPartitionRequest[] = []
  const answers: ((request: AlterPartitionRequest) => ErrorCode | 'silence')[] = []
  let epoch = 9
  const changes = new IsrChanges({
    io: world.io,
    brokerId: 1,
    brokerEpoch: () => epoch,
    async alterPartition(request): Promise<AlterPartitionResponse> {
      requests.push(request)
      const errorCode = answers.shift()?.(request) ?? ErrorCode.NONE
      await new Promise<void>((resolve) => world.io.timers.schedule(5, resolve))
      if (errorCode === 'silence') throw new LmqError('LMQ_REQUEST_TIMED_OUT', {})
      return {
        throttleTimeMs: 0,
        errorCode: ErrorCode.NONE,
        topics: request.topics.map(({ topicId = '', partitions }) => ({
          topicName: '',
          topicId,
          partitions: partitions.map(({ partitionIndex, newIsrWithEpochs, partitionEpoch }) => ({
            partitionIndex,
            errorCode,
            leaderId: 1,
            leaderEpoch: 3,
            isr: newIsrWithEpochs.map(({ brokerId }) => brokerId),
            leaderRecoveryState: 0,
            partitionEpoch: partitionEpoch + 1,
          })),
        })),
      }
    },
    logger: silentLogger,
  })
  const outcomes: string[] = []
  const propose = (partitionIndex: number, isCurrent = () => true) => {
    const proposal: IsrProposal = {
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partitionIndex,
      leaderEpoch: 3,
      partitionEpoch: 7,
      isr: [
        { brokerId: 1, brokerEpoch: 9 },
        { brokerId: 2, brokerEpoch: 8 },
      ],
      isCurrent,
      settle: (outcome: IsrOutcome) => outcomes.push(`${partitionIndex} ${outcome.kind}`),
    }
    changes.submit(proposal)
  }
  return {
    world,
    requests,
    answers,
    changes,
    outcomes,
    propose,
    setEpoch: (to: number) => (epoch = to),
  }
}

t.test('changes of one turn leave together, one request at a time', async (t) => {
  const { world, requests, outcomes, propose } = changesOf()
  propose(0)
  propose(1)
  await world.advance(1)
  t.equal(requests.length, 1)
  t.equal(requests[0]?.topics[0]?.partitions.length, 2)
  t.equal(requests[0]?.brokerEpoch, 9)
  propose(2)
  await world.advance(2)
  t.equal(requests.length, 1, 'one is under way')
  await world.advance(20)
  t.equal(requests.length, 2)
  t.same(outcomes, ['0 committed', '1 committed', '2 committed'])
})

t.test('without an answer the same is asked again, until it is pointless', async (t) => {
  const { world, requests, answers, outcomes, propose } = changesOf()
  answers.push(
    () => 'silence',
    () => ErrorCode.UNKNOWN_SERVER_ERROR,
  )
  propose(0)
  await world.advance(1_000)
  t.equal(requests.length, 3)
  t.same(requests[1], requests[0])
  t.same(outcomes, ['0 committed'])
  for (let i = 0; i < 100; i++) answers.push(() => 'silence')
  let isCurrent = true
  propose(0, () => isCurrent)
  await world.advance(300)
  isCurrent = false
  await world.advance(300)
  const { length } = requests
  await world.advance(3_000)
  t.equal(requests.length, length)
})

t.test('what the controller says to a change', async (t) => {
  const { world, answers, outcomes, propose } = changesOf()
  const kinds: [ErrorCode, string][] = [
    [ErrorCode.INELIGIBLE_REPLICA, 'dropped'],
    [ErrorCode.OPERATION_NOT_ATTEMPTED, 'dropped'],
    [ErrorCode.INVALID_UPDATE_VERSION, 'unknown'],
    [ErrorCode.FENCED_LEADER_EPOCH, 'unknown'],
    [ErrorCode.NEW_LEADER_ELECTED, 'unknown'],
  ]
  for (const [index, [code]] of kinds.entries()) {
    answers.push(() => code)
    propose(index)
    await world.advance(100)
  }
  t.same(
    outcomes,
    kinds.map(([, kind], index) => `${index} ${kind}`),
  )
})

t.test('nothing is asked for before this broker is registered', async (t) => {
  const { world, requests, propose, setEpoch, changes } = changesOf()
  setEpoch(-1)
  propose(0)
  await world.advance(500)
  t.equal(requests.length, 0)
  setEpoch(4)
  await world.advance(500)
  t.equal(requests[0]?.brokerEpoch, 4)
  changes.close()
  propose(1)
  await world.advance(500)
  t.equal(requests.length, 1)
})
