/**
 * What clients of groups ask, as stories that can be told to any broker: to Apache Kafka once, to write down its answers
 * (test/tools/record-groups.ts), and to our coordinator in every test run. Member ids and topic ids are random: they are
 * shown by the order in which they appear. Stories need the topics `orders` (4 partitions) and `payments` (2) and the
 * settings below.
 */
import { offsetCommit } from '../../../src/protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../../../src/protocol/apis/09-offset-fetch.ts'
import { findCoordinator } from '../../../src/protocol/apis/10-find-coordinator.ts'
import { joinGroup } from '../../../src/protocol/apis/11-join-group.ts'
import { heartbeat } from '../../../src/protocol/apis/12-heartbeat.ts'
import { leaveGroup } from '../../../src/protocol/apis/13-leave-group.ts'
import { syncGroup } from '../../../src/protocol/apis/14-sync-group.ts'
import { describeGroups } from '../../../src/protocol/apis/15-describe-groups.ts'
import { listGroups } from '../../../src/protocol/apis/16-list-groups.ts'
import { deleteGroups } from '../../../src/protocol/apis/42-delete-groups.ts'
import { offsetDelete } from '../../../src/protocol/apis/47-offset-delete.ts'
import type { Api, RequestInput, ResponseOf } from '../../../src/protocol/schema.ts'

export const scenarioSettings = {
  'group.min.session.timeout.ms': 100,
  'group.max.size': 3,
  'group.initial.rebalance.delay.ms': 0,
} as const

/** The broker that a story is told to. */
export type Stage = {
  /** @param who names the connection and is its client id */
  call<A extends Api>(
    who: string,
    api: A,
    version: number,
    input: RequestInput<A>,
  ): Promise<ResponseOf<A>>
  /** Lets time pass. */
  pass(ms: number): Promise<void>
  topicId(topic: string): string
}

/** One story's telling: sends what it says and writes down what comes back, in the order in which it asks for it. */
export class Telling {
  readonly lines: string[] = []
  readonly group: string
  readonly #stage: Stage
  readonly #names = new Map<string, string>()
  readonly #counts = new Map<string, number>()

  constructor(stage: Stage, title: string, unique: string) {
    this.#stage = stage
    this.group = `${title.replaceAll(' ', '-')}${unique}`
    this.#names.set(this.group, '<group>')
    for (const topic of ['orders', 'payments'])
      this.#names.set(stage.topicId(topic), `<id of ${topic}>`)
  }

  note(text: string): void {
    this.lines.push(`# ${text}`)
  }

  pass(ms: number): Promise<void> {
    return this.#stage.pass(ms)
  }

  topicId(topic: string): string {
    return this.#stage.topicId(topic)
  }

  /** Sends and does not wait: give the result to `answer`. */
  send<A extends Api>(who: string, api: A, version: number, input: RequestInput<A>): Sent<A> {
    const label = `${who} ${api.name} v${version}`
    return { label, answer: this.#stage.call(who, api, version, input) }
  }

  async answer<A extends Api>(sent: Sent<A>): Promise<ResponseOf<A>> {
    const answer = await sent.answer
    this.lines.push(`${sent.label}: ${this.#show(answer)}`)
    return answer
  }

  ask<A extends Api>(
    who: string,
    api: A,
    version: number,
    input: RequestInput<A>,
  ): Promise<ResponseOf<A>> {
    return this.answer(this.send(who, api, version, input))
  }

  // ---- Requests that stories are made of ----

  join(
    who: string,
    version: number,
    memberId = '',
    more: Partial<RequestInput<typeof joinGroup>> = {},
  ) {
    return this.send(who, joinGroup, version, {
      groupId: this.group,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('orders') }],
      ...more,
    })
  }

  /** Joins as a new client does: asks for an id, then joins with it. */
  async joinTwice(who: string, more: Partial<RequestInput<typeof joinGroup>> = {}) {
    const { memberId } = await this.answer(this.join(who, 9, '', more))
    return { memberId, joined: this.join(who, 9, memberId, more) }
  }

  sync(
    who: string,
    version: number,
    memberId: string,
    generationId: number,
    assignments: Record<string, string> = {},
    more: Partial<RequestInput<typeof syncGroup>> = {},
  ) {
    return this.send(who, syncGroup, version, {
      groupId: this.group,
      generationId,
      memberId,
      ...(version >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : {}),
      assignments: Object.entries(assignments).map(([id, text]) => ({
        memberId: id,
        assignment: Buffer.from(text),
      })),
      ...more,
    })
  }

  heartbeat(who: string, memberId: string, generationId: number, groupInstanceId?: string) {
    return this.ask(who, heartbeat, 4, {
      groupId: this.group,
      generationId,
      memberId,
      groupInstanceId: groupInstanceId ?? null,
    })
  }

  commit(
    who: string,
    version: number,
    memberId: string,
    generationId: number,
    offset: number,
    more: Partial<RequestInput<typeof offsetCommit>> = {},
  ) {
    return this.ask(who, offsetCommit, version, {
      groupId: this.group,
      generationIdOrMemberEpoch: generationId,
      memberId,
      topics: [
        {
          name: version >= 10 ? '' : 'orders',
          topicId: version >= 10 ? this.topicId('orders') : NO_ID,
          partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: 'note' }],
        },
      ],
      ...more,
    })
  }

  fetchAll(who: string, version = 8) {
    if (version >= 8) {
      const groups = [{ groupId: this.group, topics: null }]
      return this.ask(who, offsetFetch, version, { groupId: '', topics: [], groups })
    }
    return this.ask(who, offsetFetch, version, { groupId: this.group, topics: null, groups: [] })
  }

  describe(who: string, version = 5, groups = [this.group]) {
    return this.ask(who, describeGroups, version, {
      groups,
      includeAuthorizedOperations: version >= 3,
    })
  }

  leave(
    who: string,
    version: number,
    members: { memberId: string; groupInstanceId?: string | null; reason?: string | null }[],
  ) {
    return this.ask(who, leaveGroup, version, {
      groupId: this.group,
      memberId: version < 3 ? (members[0]?.memberId ?? '') : '',
      members: version < 3 ? [] : members,
    })
  }

  deleteGroups(who: string, groupsNames = [this.group], version = 2) {
    return this.ask(who, deleteGroups, version, { groupsNames })
  }

  deleteOffsets(who: string, topics: Record<string, number[]>) {
    return this.ask(who, offsetDelete, 0, {
      groupId: this.group,
      topics: Object.entries(topics).map(([name, indexes]) => ({
        name,
        partitions: indexes.map((partitionIndex) => ({ partitionIndex })),
      })),
    })
  }

  list(who: string, version: number, statesFilter: string[] = [], typesFilter: string[] = []) {
    return this.send(who, listGroups, version, { statesFilter, typesFilter })
  }

  find(who: string, version: number, keyType: number, keys: string[]) {
    return this.ask(who, findCoordinator, version, {
      key: version < 4 ? (keys[0] ?? '') : '',
      keyType,
      coordinatorKeys: version < 4 ? [] : keys,
    })
  }

  // ---- Showing answers ----

  /** Groups, topics and partitions are shown in their own order: brokers do not promise one. */
  #show(value: unknown): string {
    return JSON.stringify(value, (key, each: unknown) => {
      if (Array.isArray(each) && unordered.has(key)) {
        return [...each].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
      }
      // Texts for people are our own.
      if (key === 'errorMessage' && each !== null) return '<text>'
      if (typeof each === 'string') return this.#nameOf(each)
      return isBufferJson(each) ? Buffer.from(each.data).toString('latin1') : each
    })
  }

  #nameOf(text: string): string {
    const known = this.#names.get(text)
    if (known) return known
    if (!RANDOM_ID.test(text)) return text.replaceAll(this.group, '<group>')
    const owner = text.replace(RANDOM_ID, '')
    const count = (this.#counts.get(owner) ?? 0) + 1
    this.#counts.set(owner, count)
    const name = `<${owner} ${count}>`
    this.#names.set(text, name)
    return name
  }
}

export type Sent<A extends Api> = { label: string; answer: Promise<ResponseOf<A>> }
export const NO_ID = 'AAAAAAAAAAAAAAAAAAAAAA'

const RANDOM_ID = /-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const unordered = new Set(['groups', 'results', 'topics', 'partitions', 'members'])

function sortKey(value: Record<string, unknown>): string {
  const { groupId, name, partitionIndex, groupState, topics, memberId, groupInstanceId } = value
  const owner = String(memberId).replace(RANDOM_ID, '')
  return JSON.stringify([groupId, name, partitionIndex, groupState, topics, owner, groupInstanceId])
}

function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
}

/** What a consumer sends as metadata: version 1 with topics, no user data, no owned partitions. */
export function subscription(...topics: string[]): Buffer {
  const parts = [Buffer.from([0, 1]), int32(topics.length)]
  for (const topic of topics) parts.push(Buffer.from([0, topic.length]), Buffer.from(topic))
  return Buffer.concat([...parts, int32(-1), int32(0)])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

type Story = (s: Telling) => Promise<void>

export const scenarios: Record<string, Story> = {
  'a lone member': async (s) => {
    await s.describe('ann', 5)
    await s.describe('ann', 6)
    const { memberId } = await s.answer(s.join('ann', 9))
    await s.pass(50)
    await s.describe('ann', 6)
    const { generationId } = await s.answer(s.join('ann', 9, memberId))
    await s.describe('ann', 6)
    await s.heartbeat('ann', memberId, generationId)
    await s.commit('ann', 8, memberId, generationId, 1)
    await s.answer(
      s.sync('ann', 5, memberId, generationId, { [memberId]: 'all of it', stranger: 'x' }),
    )
    await s.describe('ann', 0)
    await s.describe('ann', 6)
    await s.heartbeat('ann', memberId, generationId)
    await s.heartbeat('ann', memberId, generationId + 1)
    await s.heartbeat('ann', 'nobody', generationId)
    await s.heartbeat('ann', memberId, generationId, 'no-such-instance')
    await s.commit('ann', 8, memberId, generationId, 2)
    await s.commit('ann', 9, memberId, generationId + 1, 3)
    await s.commit('ann', 9, 'nobody', generationId, 3)
    await s.commit('ann', 9, '', -1, 3)
    await s.deleteGroups('ann')
    await s.leave('ann', 5, [{ memberId, reason: 'done' }])
    await s.describe('ann', 6)
    await s.heartbeat('ann', memberId, generationId)
    await s.fetchAll('ann')
    await s.commit('ann', 8, '', -1, 9)
    await s.fetchAll('ann')
    await s.deleteGroups('ann')
    await s.fetchAll('ann')
    await s.describe('ann', 6)
    await s.deleteGroups('ann')
  },

  'requests that make no sense': async (s) => {
    for (const version of [0, 4, 7, 9]) {
      await s.answer(s.join('ann', version, '', { groupId: '' }))
      await s.answer(s.join('ann', version, '', { sessionTimeoutMs: 99 }))
      await s.answer(s.join('ann', version, '', { sessionTimeoutMs: 1_800_001 }))
      await s.answer(s.join('ann', version, 'nobody'))
    }
    await s.answer(s.join('ann', 9, 'nobody', { groupInstanceId: 'one' }))
    await s.answer(s.sync('ann', 4, 'nobody', 1))
    await s.answer(s.sync('ann', 5, 'nobody', 1))
    await s.answer(s.sync('ann', 5, 'nobody', 1, {}, { protocolName: null }))
    await s.answer(s.sync('ann', 5, 'nobody', 1, {}, { groupId: '' }))
    await s.heartbeat('ann', 'nobody', 1)
    await s.leave('ann', 1, [{ memberId: 'nobody' }])
    await s.leave('ann', 5, [{ memberId: 'nobody' }, { memberId: '', groupInstanceId: 'one' }])
    await s.ask('ann', heartbeat, 4, { groupId: '', generationId: 1, memberId: 'x' })
    await s.ask('ann', leaveGroup, 5, { groupId: '', memberId: '', members: [] })
    await s.commit('ann', 8, 'nobody', 1, 5)
    await s.commit('ann', 9, 'nobody', 1, 5)
    await s.ask('ann', offsetDelete, 0, { groupId: '', topics: [] })
    await s.deleteOffsets('ann', { orders: [0] })
    await s.deleteGroups('ann', ['no-such-group', '', 'no-such-group'])
    await s.describe('ann', 5, ['', 'no-such-group', 'no-such-group'])
    await s.describe('ann', 6, [''])
    await s.answer(s.join('ann', 9, '', { protocolType: '' }))
    await s.answer(s.join('ann', 9, '', { protocols: [] }))
  },

  'two members take turns': async (s) => {
    const ann = await s.joinTwice('ann')
    const first = await s.answer(ann.joined)
    const a = ann.memberId
    await s.answer(s.sync('ann', 5, a, first.generationId, { [a]: 'all' }))
    const bob = await s.joinTwice('bob')
    const b = bob.memberId
    await s.pass(50)
    await s.describe('eve')
    await s.heartbeat('ann', a, 1)
    await s.commit('ann', 8, a, 1, 7)
    await s.commit('ann', 8, '', -1, 7)
    await s.answer(s.sync('ann', 5, a, 1))
    await s.answer(s.join('ann', 9, a))
    await s.answer(bob.joined)
    await s.describe('eve')
    await s.commit('ann', 8, a, 2, 8)
    s.note('the follower syncs first and waits for the leader')
    const waiting = s.sync('bob', 5, b, 2)
    await s.pass(50)
    await s.answer(s.sync('ann', 5, a, 1, { [a]: 'old' }))
    await s.answer(s.sync('ann', 5, a, 2, {}, { protocolName: 'roundrobin' }))
    await s.answer(s.sync('ann', 5, a, 2, {}, { protocolType: 'connect' }))
    await s.answer(s.sync('ann', 5, a, 2, { [a]: 'half' }))
    await s.answer(waiting)
    await s.describe('eve')
    s.note('who is stable may sync and rejoin again')
    await s.answer(s.sync('bob', 3, b, 2))
    await s.answer(s.join('bob', 9, b))
    await s.describe('eve')
    s.note('the leader asks for a rebalance')
    const again = s.join('ann', 9, a)
    await s.pass(50)
    await s.heartbeat('bob', b, 2)
    await s.answer(
      s.join('bob', 5, b, { protocols: [{ name: 'range', metadata: subscription('payments') }] }),
    )
    await s.answer(again)
    s.note('a changed follower during sync')
    const other = s.join('bob', 9, b)
    await s.pass(50)
    await s.heartbeat('ann', a, 3)
    await s.answer(s.join('ann', 9, a))
    await s.answer(other)
    await s.answer(s.sync('ann', 5, a, 4, { [a]: 'A', [b]: 'B' }))
    await s.answer(s.sync('bob', 5, b, 4))
    s.note('one leaves, the other is alone')
    await s.leave('ann', 5, [{ memberId: a }])
    await s.heartbeat('bob', b, 4)
    await s.answer(s.join('bob', 9, b))
    await s.leave('bob', 2, [{ memberId: b }])
    await s.describe('eve')
  },

  'a full group': async (s) => {
    const members = []
    for (const who of ['ann', 'bob', 'cid']) {
      const joined = await s.answer(s.join(who, 9))
      members.push({ who, memberId: joined.memberId })
    }
    const waiting = members.slice(1).map(({ who, memberId }) => s.join(who, 9, memberId))
    await s.pass(50)
    await s.answer(s.join('dan', 9))
    await s.answer(s.join('dan', 3))
    for (const each of waiting) void each.answer
  },

  'static members': async (s) => {
    const one = { groupInstanceId: 'one' }
    const first = await s.answer(s.join('ann', 9, '', one))
    await s.answer(s.sync('ann', 5, first.memberId, 1, { [first.memberId]: 'all' }, one))
    await s.describe('eve')
    s.note('a restart: same instance, no member id')
    const second = await s.answer(s.join('ann', 9, '', one))
    await s.describe('eve')
    await s.heartbeat('old', first.memberId, 1, 'one')
    await s.heartbeat('old', first.memberId, 1)
    await s.answer(s.join('old', 9, first.memberId, one))
    await s.answer(s.sync('old', 5, first.memberId, 1, {}, one))
    await s.commit('old', 8, first.memberId, 1, 5, one)
    await s.leave('old', 5, [{ memberId: first.memberId, groupInstanceId: 'one' }])
    await s.answer(s.sync('ann', 5, second.memberId, 1, {}, one))
    await s.commit('ann', 8, second.memberId, 1, 6, one)
    s.note('a restart of an older client')
    const third = await s.answer(s.join('ann', 5, '', one))
    await s.answer(s.sync('ann', 3, third.memberId, 1, {}, one))
    s.note('a restart with other protocols')
    const other = { ...one, protocols: [{ name: 'sticky', metadata: subscription('orders') }] }
    await s.answer(s.join('ann', 9, '', other))
    s.note('a second instance')
    const two = { ...other, groupInstanceId: 'two' }
    const bob = s.join('bob', 9, '', two)
    await s.pass(50)
    await s.describe('eve')
    await s.answer(s.join('ann', 9, '', other))
    const joined = await s.answer(bob)
    s.note('a restart while the leader assigns')
    const later = s.join('ann', 9, '', other)
    await s.pass(50)
    await s.answer(s.join('bob', 9, joined.memberId, two))
    await s.answer(later)
    s.note('removed by instance id')
    await s.leave('eve', 5, [
      { memberId: '', groupInstanceId: 'one' },
      { memberId: '', groupInstanceId: 'three' },
      { memberId: '', groupInstanceId: null },
      { memberId: 'nobody', groupInstanceId: 'two' },
    ])
    await s.describe('eve')
  },

  'votes for a protocol': async (s) => {
    const of = (...names: string[]) => ({
      protocols: names.map((name) => ({ name, metadata: subscription('orders') })),
    })
    const ann = await s.joinTwice('ann', of('range', 'sticky'))
    await s.answer(ann.joined)
    await s.answer(s.join('bob', 9, '', { protocolType: 'connect', ...of('range') }))
    await s.answer(s.join('bob', 9, '', of('roundrobin')))
    const bob = await s.joinTwice('bob', of('sticky', 'range'))
    const cid = await s.joinTwice('cid', of('sticky', 'range', 'roundrobin'))
    await s.pass(50)
    await s.answer(s.join('ann', 9, ann.memberId, of('range', 'sticky')))
    await s.answer(bob.joined)
    await s.answer(cid.joined)
  },

  'clients from before member ids were required': async (s) => {
    const joined = await s.answer(s.join('ann', 0))
    await s.answer(s.sync('ann', 0, joined.memberId, 1, { [joined.memberId]: 'all' }))
    const bob = s.join('bob', 3)
    await s.pass(50)
    await s.answer(s.join('ann', 1, joined.memberId))
    await s.answer(bob)
    await s.leave('ann', 0, [{ memberId: joined.memberId }])
    await s.leave('ann', 0, [{ memberId: joined.memberId }])
  },

  'offsets of a simple consumer': async (s) => {
    for (const version of [1, 2, 5, 7]) await s.fetchAll('ann', version === 1 ? 2 : version)
    await s.ask('ann', offsetFetch, 1, {
      groupId: s.group,
      topics: [{ name: 'orders', partitionIndexes: [0, 9] }],
      groups: [],
    })
    for (const version of [2, 5, 7, 8, 9, 10]) await s.commit('ann', version, '', -1, version)
    await s.fetchAll('ann', 7)
    await s.fetchAll('ann', 8)
    await s.fetchAll('ann', 10)
    await s.describe('ann')
    await s.ask('ann', offsetCommit, 8, {
      groupId: s.group,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [
        {
          name: 'orders',
          topicId: NO_ID,
          partitions: [
            { partitionIndex: 1, committedOffset: 5, committedMetadata: 'x'.repeat(4096) },
            { partitionIndex: 2, committedOffset: 5, committedMetadata: 'x'.repeat(4097) },
            {
              partitionIndex: 3,
              committedOffset: 5,
              committedMetadata: null,
              committedLeaderEpoch: 3,
            },
            { partitionIndex: 4, committedOffset: 5, committedMetadata: null },
            { partitionIndex: -1, committedOffset: 5, committedMetadata: null },
          ],
        },
        {
          name: 'no-such-topic',
          topicId: NO_ID,
          partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: null }],
        },
        { name: 'payments', topicId: NO_ID, partitions: [] },
      ],
    })
    await s.ask('ann', offsetCommit, 10, {
      groupId: s.group,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: [
        {
          name: '',
          topicId: 'abcdefghijklmnopqrstug',
          partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: null }],
        },
        {
          name: '',
          topicId: s.topicId('payments'),
          partitions: [
            { partitionIndex: 1, committedOffset: 5, committedMetadata: '' },
            { partitionIndex: 2, committedOffset: 5, committedMetadata: '' },
          ],
        },
      ],
    })
    const topics = [
      { name: 'orders', topicId: NO_ID, partitionIndexes: [0, 1, 3, 7] },
      { name: 'no-such-topic', topicId: NO_ID, partitionIndexes: [0] },
    ]
    for (const version of [1, 5, 7]) {
      await s.ask('ann', offsetFetch, version, {
        groupId: s.group,
        topics,
        groups: [],
        requireStable: version >= 7,
      })
    }
    await s.ask('ann', offsetFetch, 9, {
      groupId: '',
      topics: [],
      requireStable: true,
      groups: [
        { groupId: s.group, topics },
        { groupId: 'no-such-group', topics: null },
        { groupId: 'no-such-group', topics },
        { groupId: '', topics: [] },
      ],
    })
    await s.ask('ann', offsetFetch, 10, {
      groupId: '',
      topics: [],
      groups: [
        {
          groupId: s.group,
          topics: [
            { name: '', topicId: s.topicId('payments'), partitionIndexes: [0, 1] },
            { name: '', topicId: 'abcdefghijklmnopqrstug', partitionIndexes: [0, 1] },
          ],
        },
      ],
    })
    await s.deleteOffsets('ann', { orders: [0, 1, 99], payments: [0], 'no-such-topic': [0] })
    await s.fetchAll('ann', 7)
    await s.commit('ann', 8, 'somebody', -1, 5)
    await s.commit('ann', 8, 'somebody', 0, 5)
    await s.commit('ann', 8, '', -1, 5, { groupInstanceId: 'one' })
  },

  'offsets that a member reads are kept': async (s) => {
    const ann = await s.joinTwice('ann')
    await s.answer(ann.joined)
    await s.deleteOffsets('eve', { orders: [0], payments: [0] })
    await s.answer(s.sync('ann', 5, ann.memberId, 1, { [ann.memberId]: 'all' }))
    await s.commit('ann', 8, ann.memberId, 1, 5)
    await s.deleteOffsets('eve', { orders: [0], payments: [0] })
    await s.fetchAll('eve')
  },

  'a group of another protocol': async (s) => {
    const more = {
      protocolType: 'connect',
      protocols: [{ name: 'range', metadata: Buffer.from('any') }],
    }
    const ann = await s.joinTwice('ann', more)
    await s.answer(ann.joined)
    await s.answer(s.sync('ann', 4, ann.memberId, 1, { [ann.memberId]: 'all' }))
    await s.commit('ann', 8, ann.memberId, 1, 5)
    await s.deleteOffsets('eve', { orders: [0] })
    await s.deleteGroups('eve')
    await s.leave('ann', 4, [{ memberId: ann.memberId }])
    await s.deleteOffsets('eve', { orders: [0] })
    await s.fetchAll('eve')
    await s.deleteGroups('eve')
  },

  'sessions end': async (s) => {
    const quick = { sessionTimeoutMs: 400, rebalanceTimeoutMs: 600 }
    const ann = await s.joinTwice('ann', quick)
    await s.answer(ann.joined)
    await s.answer(s.sync('ann', 5, ann.memberId, 1, { [ann.memberId]: 'all' }))
    await s.pass(700)
    await s.describe('eve')
    await s.heartbeat('ann', ann.memberId, 1)
    s.note('an id that is not used in time')
    const { memberId } = await s.answer(s.join('bob', 9, '', quick))
    await s.pass(700)
    await s.answer(s.join('bob', 9, memberId, quick))
    s.note('a member that does not rejoin in time')
    const cid = await s.joinTwice('cid', { sessionTimeoutMs: 5_000, rebalanceTimeoutMs: 600 })
    await s.answer(cid.joined)
    await s.answer(s.sync('cid', 5, cid.memberId, 3, { [cid.memberId]: 'all' }))
    const dan = await s.joinTwice('dan', { sessionTimeoutMs: 5_000, rebalanceTimeoutMs: 600 })
    await s.answer(dan.joined)
    await s.heartbeat('cid', cid.memberId, 3)
    s.note('a member that does not sync in time')
    await s.pass(900)
    await s.heartbeat('dan', dan.memberId, 4)
    await s.describe('eve')
  },

  'members that never sync': async (s) => {
    const times = { sessionTimeoutMs: 5_000, rebalanceTimeoutMs: 600 }
    const ann = await s.joinTwice('ann', times)
    await s.answer(ann.joined)
    const bob = await s.joinTwice('bob', times)
    await s.pass(20)
    await s.answer(s.join('ann', 9, ann.memberId, times))
    await s.answer(bob.joined)
    await s.answer(s.sync('ann', 5, ann.memberId, 2, { [ann.memberId]: 'A' }))
    await s.pass(900)
    await s.heartbeat('ann', ann.memberId, 2)
    await s.heartbeat('bob', bob.memberId, 2)
    await s.answer(s.join('ann', 9, ann.memberId, times))
  },

  'a static member that does not rejoin': async (s) => {
    const times = { sessionTimeoutMs: 3_000, rebalanceTimeoutMs: 500 }
    const one = { ...times, groupInstanceId: 'one' }
    const two = { ...times, groupInstanceId: 'two' }
    const ann = await s.answer(s.join('ann', 9, '', one))
    await s.answer(
      s.sync('ann', 5, ann.memberId, 1, { [ann.memberId]: 'all' }, { groupInstanceId: 'one' }),
    )
    const bob = await s.answer(s.join('bob', 9, '', two))
    await s.describe('eve')
    await s.answer(
      s.sync('bob', 5, bob.memberId, 2, { [bob.memberId]: 'B' }, { groupInstanceId: 'two' }),
    )
    await s.describe('eve')
  },

  'lists by state and type': async (s) => {
    const ann = await s.joinTwice('ann')
    await s.answer(ann.joined)
    for (const [version, states, types] of [
      [0, [], []],
      [3, [], []],
      [4, [], []],
      [4, ['Stable'], []],
      [4, ['completingrebalance', 'Nonsense'], []],
      [5, [], []],
      [5, [], ['Classic']],
      [5, ['CompletingRebalance'], ['classic', 'consumer']],
      [5, [], ['consumer']],
      [5, [], ['nonsense']],
    ] as const) {
      const { errorCode, groups } = await s.list('eve', version, [...states], [...types]).answer
      const own = groups.filter(({ groupId }) => groupId === s.group)
      s.note(
        `v${version} [${states}] [${types}]: ${errorCode} ${JSON.stringify(own.map((g) => ({ ...g, groupId: '' })))}`,
      )
    }
  },

  'who coordinates': async (s) => {
    for (const version of [0, 1, 3]) await s.find('ann', version, 0, [s.group])
    await s.find('ann', 4, 0, [s.group, 'another', ''])
    await s.find('ann', 6, 0, [])
    await s.find('ann', 3, 7, [s.group])
    await s.find('ann', 4, 7, [s.group])
    await s.find('ann', 3, 2, [s.group])
    await s.find('ann', 5, 2, [s.group])
  },
}
