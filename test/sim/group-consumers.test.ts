// Goal: what a group has committed never goes back, whoever crashes. Method: consumers in simulated time join, share out four
// partitions, read on from the committed offset and commit as they go, while consumers are paused beyond their session, die
// and return, writes fail, stall or are slow, and the coordinator crashes and loads its log again. A commit that was
// acknowledged is there after every crash; no partition's offset moves back; when trouble ends everybody is assigned.
//
// LMQ_LONG=1 tries ten times as many seeds, LMQ_QUICK=1 a tenth, LMQ_SEED=n only that one.
import t from 'tap'
import { offsetCommit } from '../../src/protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../../src/protocol/apis/09-offset-fetch.ts'
import { joinGroup } from '../../src/protocol/apis/11-join-group.ts'
import { heartbeat } from '../../src/protocol/apis/12-heartbeat.ts'
import { leaveGroup } from '../../src/protocol/apis/13-leave-group.ts'
import { syncGroup } from '../../src/protocol/apis/14-sync-group.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { NO_ID, subscription } from '../unit/coordinator/group-scenarios.ts'
import { GroupWorld } from '../unit/coordinator/group-world.ts'

const ONLY = process.env['LMQ_SEED']
const FACTOR = process.env['LMQ_LONG'] ? 10 : process.env['LMQ_QUICK'] ? 0.1 : 1
const SEEDS = 100 * FACTOR
const PARTITIONS = 4
const GROUP = 'readers'

t.setTimeout(0) // the runner limits the file

class Simulation {
  readonly world: GroupWorld
  readonly random: (max: number) => number
  /** By partition: the largest offset whose commit was acknowledged. */
  readonly acknowledged = new Map<number, number>()
  commits = 0
  isCalm = false

  constructor(seed: number) {
    const settings = { 'group.initial.rebalance.delay.ms': seed % 3 === 0 ? 3_000 : 0 }
    this.world = new GroupWorld(settings, seed)
    const { random } = this.world.time.io()
    this.random = (max) => random.int(max)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.world.time.io().timers.schedule(ms, resolve))
  }

  acknowledge(partitionIndex: number, offset: number): void {
    const known = this.acknowledged.get(partitionIndex) ?? 0
    if (offset < known)
      throw new Error(`partition ${partitionIndex} went from ${known} to ${offset}`)
    this.acknowledged.set(partitionIndex, offset)
    this.commits++
  }

  async committed(): Promise<Map<number, number>> {
    const answer = await this.world.call(offsetFetch, 8, {
      groupId: '',
      topics: [],
      groups: [{ groupId: GROUP, topics: null }],
      requireStable: true,
    })
    const found = new Map<number, number>()
    for (const each of answer.groups[0]?.topics[0]?.partitions ?? []) {
      found.set(each.partitionIndex, each.committedOffset)
    }
    if (answer.groups[0]?.errorCode === ErrorCode.NONE) return found
    await this.sleep(100)
    return this.committed()
  }
}

/** A consumer of the eager protocol, as small as it can be. */
class Consumer {
  memberId = ''
  generationId = -1
  partitions: number[] = []
  readonly #positions = new Map<number, number>()
  readonly #sim: Simulation
  readonly #instance: string | null
  #isRunning = true

  constructor(sim: Simulation, instance: string | null) {
    this.#sim = sim
    this.#instance = instance
    void this.#run()
  }

  /** Without a word, as a process that is killed. */
  die(): void {
    this.#isRunning = false
  }

  async leave(): Promise<void> {
    this.#isRunning = false
    const members = [{ memberId: this.memberId, groupInstanceId: this.#instance }]
    await this.#sim.world.call(leaveGroup, 4, { groupId: GROUP, memberId: '', members })
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      if (this.partitions.length === 0 && !(await this.#join())) {
        await this.#sim.sleep(100)
        continue
      }
      // Sometimes a consumer hangs for longer than its session.
      const isPaused = !this.#sim.isCalm && this.#sim.random(60) === 0
      await this.#sim.sleep(isPaused ? 15_000 : 200 + this.#sim.random(300))
      if (!this.#isRunning) return
      const errorCode = await this.#work()
      if (errorCode === ErrorCode.NONE) continue
      this.partitions = []
      const isForgotten =
        errorCode === ErrorCode.UNKNOWN_MEMBER_ID || errorCode === ErrorCode.FENCED_INSTANCE_ID
      if (isForgotten || errorCode === ErrorCode.ILLEGAL_GENERATION) this.memberId = ''
    }
  }

  async #work(): Promise<number> {
    const { world } = this.#sim
    const partitionIndex = this.partitions[this.#sim.random(this.partitions.length)] ?? 0
    const offset = (this.#positions.get(partitionIndex) ?? 0) + 1 + this.#sim.random(3)
    const answer = await world.call(offsetCommit, 8, {
      groupId: GROUP,
      generationIdOrMemberEpoch: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.#instance,
      topics: [
        {
          name: 'orders',
          topicId: NO_ID,
          partitions: [{ partitionIndex, committedOffset: offset, committedMetadata: null }],
        },
      ],
    })
    const errorCode = answer.topics[0]?.partitions[0]?.errorCode ?? -1
    if (errorCode === ErrorCode.NONE) {
      this.#positions.set(partitionIndex, offset)
      this.#sim.acknowledge(partitionIndex, offset)
    }
    const beat = await world.call(heartbeat, 4, {
      groupId: GROUP,
      generationId: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.#instance,
    })
    return errorCode === ErrorCode.NONE ? beat.errorCode : errorCode
  }

  async #join(): Promise<boolean> {
    const { world } = this.#sim
    const joined = await world.call(joinGroup, 9, {
      groupId: GROUP,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId: this.memberId,
      groupInstanceId: this.#instance,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('orders') }],
    })
    if (!this.#isRunning) return false
    if (joined.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = joined.memberId
      return this.#join()
    }
    if (joined.errorCode !== ErrorCode.NONE) {
      this.memberId = ''
      return false
    }
    this.memberId = joined.memberId
    this.generationId = joined.generationId
    const synced = await world.call(syncGroup, 5, {
      groupId: GROUP,
      generationId: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.#instance,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: joined.skipAssignment ? [] : shareOut(joined.members),
    })
    if (!this.#isRunning || synced.errorCode !== ErrorCode.NONE) return false
    const mine = [...synced.assignment]
    for (const [partitionIndex, offset] of await this.#sim.committed()) {
      this.#positions.set(partitionIndex, offset)
    }
    this.partitions = mine
    return mine.length > 0
  }
}

function shareOut(members: readonly { memberId: string }[]) {
  return members.map(({ memberId }, index) => ({
    memberId,
    assignment: Buffer.from(
      [...Array(PARTITIONS).keys()].filter((each) => each % members.length === index),
    ),
  }))
}

async function trouble(sim: Simulation, consumers: Consumer[]): Promise<void> {
  const { world, random } = sim
  for (let i = 0; i < 40; i++) {
    await sim.sleep(500 + random(4_000))
    const at = random(consumers.length)
    switch (random(6)) {
      case 0:
        consumers[at]?.die()
        consumers[at] = new Consumer(sim, at === 0 ? 'static' : null)
        break
      case 1:
        await consumers[at]?.leave()
        consumers[at] = new Consumer(sim, at === 0 ? 'static' : null)
        break
      case 2:
        world.log.failures.push(ErrorCode.NOT_ENOUGH_REPLICAS)
        break
      case 3:
        world.log.isStalled = true
        await sim.sleep(random(8_000))
        world.log.goOn()
        break
      case 4:
        await world.crash()
        break
      default:
        break
    }
  }
}

async function simulate(seed: number): Promise<string> {
  const sim = new Simulation(seed)
  const { world } = sim
  let isDone = false
  let failure: unknown
  const story = async () => {
    await world.start()
    const consumers = [
      new Consumer(sim, 'static'),
      new Consumer(sim, null),
      new Consumer(sim, null),
    ]
    await trouble(sim, consumers)
    sim.isCalm = true
    await sim.sleep(60_000)
    const assigned = consumers.flatMap(({ partitions }) => partitions).sort()
    if (assigned.join() !== '0,1,2,3') throw new Error(`assigned when all is calm: ${assigned}`)
    await world.crash()
    for (const [partitionIndex, offset] of await sim.committed()) {
      const known = sim.acknowledged.get(partitionIndex) ?? 0
      if (offset < known) throw new Error(`partition ${partitionIndex}: ${offset}, not ${known}`)
    }
    for (const consumer of consumers) consumer.die()
  }
  story().then(
    () => {
      isDone = true
    },
    (error: unknown) => {
      failure = error
      isDone = true
    },
  )
  for (let i = 0; i < 100_000 && !isDone; i++) await world.time.advance(50)
  world.coordinator.close()
  if (failure) throw failure
  if (!isDone) throw new Error('the story does not end')
  return `${sim.commits} commits`
}

t.test('committed offsets never go back', { timeout: 6 * 3_600_000 }, async (t) => {
  const seeds = ONLY ? [Number(ONLY)] : Array.from({ length: SEEDS }, (_, index) => index + 1)
  for (const seed of seeds) {
    try {
      t.match(await simulate(seed), 'commits')
    } catch (error) {
      t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`)
      return
    }
  }
})
