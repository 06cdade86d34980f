// Goal: whatever clients do in whatever order, a classic group stays consistent. Method: random commands, times, failed and
// late writes against one machine; after each, what must always hold is checked, and at the end everybody goes silent:
// then every request has been answered once and the group is empty.
//
// LMQ_TEST_RUNS: how many random stories.
import fc from 'fast-check'
import t from 'tap'
import { ClassicGroupMachine } from '../../../src/coordinator/group/classic-group-machine.ts'
import type { GroupDecision, Settlement } from '../../../src/coordinator/group/group-commands.ts'
import { NO_REQUEST } from '../../../src/coordinator/group/group-member.ts'
import type { GroupMetadata } from '../../../src/coordinator/group/group-records.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'

const RUNS = Number(process.env['LMQ_TEST_RUNS'] ?? (process.env['LMQ_LONG'] ? 20_000 : 500))
const protocolLists = [['range'], ['range', 'sticky'], ['sticky', 'range'], ['sticky'], []]
const instances = [null, null, null, 'one', 'two']

type Step =
  | {
      kind: 'join'
      member: number
      instance: number
      protocols: number
      isOld: boolean
      isKnown: boolean
    }
  | { kind: 'sync'; member: number; late: number }
  | { kind: 'heartbeat' | 'commit' | 'leave'; member: number; late: number }
  | { kind: 'tick'; ms: number }
  | { kind: 'settle'; fails: boolean }
  | { kind: 'restore' }
  /** Every member does what its group asks of it. */
  | { kind: 'cooperate' }

const member = fc.nat(7)
const late = fc.constantFrom(0, 0, 0, 1)
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      member,
      instance: fc.nat(instances.length - 1),
      protocols: fc.nat(protocolLists.length - 1),
      isOld: fc.boolean(),
      isKnown: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('sync' as const), member, late }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('heartbeat' as const, 'commit' as const, 'leave' as const),
      member,
      late,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.nat(4_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('settle' as const), fails: late.map(Boolean) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restore' as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('cooperate' as const) }) },
)

class Model {
  readonly settings: { initialRebalanceDelayMs: number; maxSize: number }
  machine: ClassicGroupMachine
  nowMs = 0
  generationId = 0
  /** Every id that was ever given out. */
  readonly ids: string[] = []
  readonly open = new Set<number>()
  readonly closed = new Set<number>()
  readonly settlements: Settlement[] = []
  record: GroupMetadata | undefined
  requests = 0

  constructor(delayMs: number, maxSize: number) {
    this.settings = { initialRebalanceDelayMs: delayMs, maxSize }
    this.machine = new ClassicGroupMachine('g', this.settings, 0)
  }

  run(step: Step): void {
    const { machine } = this
    const memberId = 'member' in step ? (this.ids.at(-1 - step.member) ?? '') : ''
    const generationId = machine.generationId - ('late' in step ? step.late : 0)
    const groupInstanceId = machine.roster.members.get(memberId)?.groupInstanceId ?? null
    const from = { memberId, groupInstanceId, generationId }
    switch (step.kind) {
      case 'join':
        this.#join(step, memberId)
        break
      case 'sync':
        this.#sync(from)
        break
      case 'heartbeat':
        machine.heartbeat(from, this.nowMs)
        break
      case 'commit':
        machine.commit({ ...from, isTransactional: false }, this.nowMs)
        break
      case 'leave':
        this.#take(machine.leave([{ memberId, groupInstanceId, reason: null }], [], this.nowMs))
        break
      case 'tick':
        this.nowMs += step.ms
        this.#take(machine.tick(this.nowMs))
        break
      case 'settle':
        this.#settle(step.fails)
        break
      case 'cooperate':
        this.#cooperate()
        break
      default:
        this.#restore()
    }
  }

  #sync(from: { memberId: string; groupInstanceId: string | null; generationId: number }): void {
    const { roster } = this.machine
    const assignments = [...roster.members.keys()].map((memberId) => ({
      memberId,
      assignment: Buffer.from(`${from.generationId} ${memberId}`),
    }))
    const requestId = this.#open()
    const command = { ...from, requestId, protocolType: null, protocolName: null, assignments }
    this.#take(this.machine.sync(command, this.nowMs))
  }

  #cooperate(): void {
    for (const { memberId, groupInstanceId, protocols } of [
      ...this.machine.roster.members.values(),
    ]) {
      const { state, generationId, roster } = this.machine
      const isWaiting = roster.members.get(memberId)?.joinRequestId !== NO_REQUEST
      if (state === 'PreparingRebalance' && !isWaiting) {
        this.#join(
          {
            kind: 'join',
            member: 0,
            instance: 0,
            protocols: protocolLists.findIndex((names) => sameNames(names, protocols)),
            isOld: false,
            isKnown: true,
          },
          memberId,
        )
      }
      if (state === 'CompletingRebalance') this.#sync({ memberId, groupInstanceId, generationId })
      this.machine.heartbeat({ memberId, groupInstanceId, generationId }, this.nowMs)
    }
    while (this.settlements.length > 0) this.#settle(false)
    this.#take(this.machine.tick(this.nowMs))
  }

  #join(step: Step & { kind: 'join' }, memberId: string): void {
    const known = this.machine.roster.members.get(memberId)
    const requestId = this.#open()
    const newMemberId = `m${requestId}`
    this.#take(
      this.machine.join(
        {
          requestId,
          memberId: step.isKnown ? memberId : '',
          groupInstanceId: step.isKnown
            ? (known?.groupInstanceId ?? null)
            : (instances[step.instance] ?? null),
          clientId: 'c',
          clientHost: '/h',
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 15_000,
          protocolType: 'consumer',
          protocols: (protocolLists[step.protocols] ?? []).map((name) => ({
            name,
            metadata: Buffer.from(name),
          })),
          reason: null,
          newMemberId,
          requiresKnownMemberId: !step.isOld,
          supportsSkipAssignment: !step.isOld,
        },
        this.nowMs,
      ),
    )
    const { members, pendingJoins } = this.machine.roster
    if (members.has(newMemberId) || pendingJoins.has(newMemberId)) this.ids.push(newMemberId)
  }

  #settle(fails: boolean): void {
    const settlement = this.settlements.shift()
    if (!settlement) return
    const errorCode = fails ? ErrorCode.COORDINATOR_NOT_AVAILABLE : ErrorCode.NONE
    this.#take(this.machine.settle(settlement, errorCode, this.nowMs))
  }

  /** A failover: who waits is told, and the group is what was last written. */
  #restore(): void {
    if (!this.record) return
    this.settlements.length = 0
    this.#take(this.machine.die(ErrorCode.NOT_COORDINATOR))
    this.machine = ClassicGroupMachine.restore('g', this.record, this.settings)
    this.generationId = this.machine.generationId
    this.#take(this.machine.resume(this.nowMs))
    const stored = this.record.members.map(({ memberId }) => memberId)
    if (this.settings.maxSize > stored.length) same([...this.machine.roster.members.keys()], stored)
  }

  #open(): number {
    this.requests++
    this.open.add(this.requests)
    return this.requests
  }

  #take({ effects, record, settlement }: GroupDecision): void {
    for (const effect of effects) {
      if (effect.kind === 'note') continue
      if (!this.open.delete(effect.requestId)) throw new Error('a request is answered once')
      this.closed.add(effect.requestId)
    }
    if (record && settlement) {
      this.settlements.push(settlement)
      this.record = record
    }
  }

  /** What holds after every command. */
  check(): void {
    const { state, generationId, roster, protocolName, wakeAtMs } = this.machine
    const members = [...roster.members.values()]
    must(generationId >= this.generationId, 'generations only grow')
    this.generationId = generationId
    must((roster.leaderId === null) === (members.length === 0), 'a group with members has a leader')
    must(roster.leaderId === null || roster.members.has(roster.leaderId), 'the leader is a member')
    must(state !== 'Empty' || members.length === 0, 'an empty group has no members')
    const isRunning = state === 'CompletingRebalance' || state === 'Stable'
    must(!isRunning || members.length > 0, 'a running group has members')
    for (const each of members) {
      const offers = each.protocols.map(({ name }) => name)
      must(!isRunning || offers.includes(protocolName ?? ''), 'all members have the protocol')
      must(
        each.syncRequestId === NO_REQUEST || state === 'CompletingRebalance',
        'syncs wait for one',
      )
      const due = Math.min(each.deadlineMs)
      must(wakeAtMs <= due || due === Number.POSITIVE_INFINITY, 'no session end is slept through')
    }
    const waiting = members.flatMap((each) => [each.joinRequestId, each.syncRequestId])
    const expected = waiting.filter((id) => id !== NO_REQUEST).sort((a, b) => a - b)
    same(
      [...this.open].sort((a, b) => a - b),
      expected,
    )
    const joins = members.filter((each) => each.joinRequestId !== NO_REQUEST)
    same(roster.awaitingJoins, joins.length)
    for (const [instance, id] of roster.staticMembers) {
      same(roster.members.get(id)?.groupInstanceId, instance)
    }
    if (state === 'Stable') {
      for (const { assignment, memberId } of members) {
        const text = assignment.toString()
        // A static member that came back has what its place was given.
        const isOwn = text === '' || text.endsWith(memberId) || roster.staticMembers.size > 0
        must(isOwn, 'a member has its own assignment')
      }
    }
  }

  /** Everybody is gone: time passes until nothing is left to happen. */
  fallSilent(): void {
    for (let i = 0; i < 100; i++) {
      this.#settle(false)
      this.nowMs += 30_000
      this.#take(this.machine.tick(this.nowMs))
      this.check()
    }
    this.nowMs += 300_000
    this.#take(this.machine.tick(this.nowMs))
    same(this.open.size, 0)
    same(this.machine.state, 'Empty')
    same(this.machine.roster.pendingJoins.size, 0)
    same(this.machine.wakeAtMs, Number.POSITIVE_INFINITY)
  }
}

function sameNames(names: readonly string[], protocols: readonly { name: string }[]): boolean {
  return names.join() === protocols.map(({ name }) => name).join()
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`does not hold: ${what}`)
}

function same<T>(found: T, expected: T): void {
  if (JSON.stringify(found) === JSON.stringify(expected)) return
  throw new Error(`found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`)
}

t.test('random orders of commands', async (t) => {
  const delays = fc.constantFrom(0, 3_000)
  const sizes = fc.constantFrom(2, 3, 100)
  fc.assert(
    fc.property(
      delays,
      sizes,
      fc.array(steps, { minLength: 20, maxLength: 80 }),
      (delayMs, maxSize, story) => {
        const model = new Model(delayMs, maxSize)
        for (const step of story) {
          model.run(step)
          model.check()
        }
        model.fallSilent()
      },
    ),
    { numRuns: RUNS },
  )
  t.pass(`${RUNS} stories`)
})
