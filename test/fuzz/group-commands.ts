/** Random requests of the members of a group, held against the model. */
import fc from 'fast-check'
import { offsetCommit } from '../../src/protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../../src/protocol/apis/09-offset-fetch.ts'
import { joinGroup } from '../../src/protocol/apis/11-join-group.ts'
import { heartbeat } from '../../src/protocol/apis/12-heartbeat.ts'
import { leaveGroup } from '../../src/protocol/apis/13-leave-group.ts'
import { syncGroup } from '../../src/protocol/apis/14-sync-group.ts'
import { describeGroups } from '../../src/protocol/apis/15-describe-groups.ts'
import { apiVersions } from '../../src/protocol/apis/18-api-versions.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import type { RawClient } from '../unit/server/raw-client.ts'
import type { Due, GroupModel, JoinAnswer, Member, SyncAnswer, Waiting } from './group-model.ts'
import { ask, type Connections, eventually, expect, isForeign, patiently } from './state-run.ts'

export const PARTITIONS = 3
const SESSION_MS = 60_000
/** A consumer's that subscribes to nothing: Kafka fails inside when it cannot read it. */
const subscription = Buffer.from('000000000000ffffffff', 'hex')
const slots = 5
/** The last two slots are static members. */
const instances: readonly (string | null)[] = [null, null, null, 'one', 'two']
const protocolLists = [['range'], ['range', 'sticky'], ['sticky', 'range'], ['sticky'], []]
/** Whose id a request carries: its own, another member's, one that was given out, none, one that nobody has. */
const identities = ['own', 'own', 'own', 'own', 'own', 'other', 'given', 'none', 'stranger']

type Sent = Waiting & { readonly slot: number; readonly client: RawClient }

/** The group as it runs in the broker. */
export class RealGroup {
  readonly groupId: string
  readonly topic: string
  readonly connections: Connections
  readonly observer: RawClient
  /** The id that each slot knows as its own. */
  readonly ids: string[] = Array.from({ length: slots }, () => '')
  readonly open = new Set<Sent>()
  names = 0

  constructor(groupId: string, topic: string, connections: Connections, observer: RawClient) {
    this.groupId = groupId
    this.topic = topic
    this.connections = connections
    this.observer = observer
  }

  /** The id that `identity` stands for. */
  idOf(model: GroupModel, slot: number, identity: string): string {
    const own = this.ids[slot] as string
    if (identity === 'own') return own
    if (identity === 'none') return ''
    if (identity === 'stranger') return 'nobody-has-this-id'
    if (identity === 'given') return [...model.givenIds].at(-1) ?? own
    return this.ids[(slot + 1) % slots] || own
  }

  async send<Answer>(slot: number, asking: (client: RawClient) => Promise<Answer>) {
    const client = await this.connections.take()
    // Once a new connection is served, the request is read before others that are sent after it.
    await ask(client, apiVersions, 0, { clientSoftwareName: '', clientSoftwareVersion: '' })
    const answer = asking(client)
    const sent = { slot, client, answer, arrived: false, dropped: false }
    this.open.add(sent)
    answer.then(
      () => {
        sent.arrived = true
      },
      () => {},
    )
    return sent
  }

  drop(sent: Sent): void {
    sent.dropped = true
    sent.client.close()
  }

  close(): void {
    for (const sent of this.open) sent.client.close()
  }
}

/** Takes the answers that are due, and checks that nothing else was answered and the broker shows the same group. */
async function settle(model: GroupModel, real: RealGroup): Promise<void> {
  const joined: { member: Member; answer: JoinAnswer }[] = []
  for (const due of model.due.splice(0)) {
    const sent = due.waiting as Waiting as Sent
    real.open.delete(sent)
    if (sent.dropped) continue
    if (due.isReplaced && isForeign) {
      real.drop(sent)
      continue
    }
    const answer = await patiently(due.waiting.answer as Promise<JoinAnswer | SyncAnswer>, due.kind)
    real.connections.giveBack(sent.client)
    check(model, real, due, answer, sent, joined)
  }
  learnLeader(model, joined)
  await compare(model, real)
  for (const sent of real.open) {
    if (sent.arrived && !sent.dropped) throw new Error(`slot ${sent.slot} was answered too early`)
  }
}

function check(
  model: GroupModel,
  real: RealGroup,
  due: Due,
  answer: JoinAnswer | SyncAnswer,
  sent: Sent,
  joined: { member: Member; answer: JoinAnswer }[],
): void {
  const isFailure = isForeign && due.kind === 'join' && due.failsInKafka === true
  const expected = isFailure ? ErrorCode.UNKNOWN_SERVER_ERROR : due.errorCode
  expect(answer.errorCode, expected, `${due.kind} of slot ${sent.slot}`)
  if (due.kind === 'sync') {
    expect((answer as SyncAnswer).assignment.toString(), due.assignment, 'the assignment')
    return
  }
  const join = answer as JoinAnswer
  if (due.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
    model.givenIds.add(join.memberId)
    real.ids[sent.slot] = join.memberId
    return
  }
  const { member } = due
  if (due.errorCode !== ErrorCode.NONE || !member) return
  expect(join.generationId, due.generation, 'the generation')
  if (member.id !== undefined && due.generation === model.generation) {
    expect(join.memberId, member.id, 'the member id')
  }
  member.id = join.memberId
  real.ids[sent.slot] = join.memberId
  if (due.generation !== model.generation) return
  // A static member that came back to a stable group is told who led before.
  const isReplacement = due.leads === undefined && model.state === 'Stable'
  if (!isReplacement) joined.push({ member, answer: join })
}

/** One leader, and only it is told who is in. */
function learnLeader(
  model: GroupModel,
  joined: readonly { member: Member; answer: JoinAnswer }[],
): void {
  for (const { member, answer } of joined) {
    const leader = model.byId(answer.leader)
    if (!leader) throw new Error(`${answer.leader} leads and is no member that is known`)
    model.leader ??= leader
    expect(answer.leader, model.leader.id, 'the leader')
    const told = answer.members.map(({ memberId }) => memberId).sort()
    const all = [...model.members].map(({ id }) => id).sort()
    if (member !== leader) expect(told, [], 'what a follower is told')
    else if (!all.includes(undefined)) expect(told, all, 'what the leader is told')
    const isCommon = [...model.members].every(({ protocols }) =>
      protocols.includes(answer.protocolName ?? ''),
    )
    if (!isCommon) throw new Error(`not all members have the protocol ${answer.protocolName}`)
  }
}

/** The broker's view of the group: state and members; ids that nobody could be told are learnt here. */
function compare(model: GroupModel, real: RealGroup): Promise<void> {
  return eventually(async () => {
    const request = { groups: [real.groupId], includeAuthorizedOperations: false }
    const [group] = (await ask(real.observer, describeGroups, 5, request)).groups
    const state = group?.groupState === 'Dead' ? 'Empty' : group?.groupState
    const members = group?.members ?? []
    if (state !== model.state || members.length !== model.members.size) {
      return `the group is ${state} with ${members.length} members instead of ${model.state} with ${model.members.size}`
    }
    for (const member of model.members) {
      const found = members.find(({ clientId, groupInstanceId }) =>
        member.instanceId === null
          ? clientId === member.name
          : groupInstanceId === member.instanceId,
      )
      if (!found) return `${member.name} is not a member`
      // The request that took the place over may be on its way yet, and not seen by anything else.
      if (found.memberId === member.formerId) return `${member.name} still is ${found.memberId}`
      member.id ??= found.memberId
      if (member.id !== found.memberId) return `${member.name} is ${found.memberId}`
      if (model.state !== 'Stable') continue
      const assignment = found.memberAssignment.toString()
      if (assignment !== member.assignment) return `${member.name} has ${assignment}`
    }
    return undefined
  })
}

type Command = fc.AsyncCommand<GroupModel, RealGroup, true>

const needsLeader = (model: Readonly<GroupModel>): boolean =>
  model.leader !== undefined || model.state === 'Empty' || model.state === 'PreparingRebalance'

/** Whether a static member that comes back with other protocols changes the vote is not for this model to say. */
const isPlain = (model: Readonly<GroupModel>, slot: number, protocols: readonly string[]) => {
  const known = model.byInstance(instances[slot] ?? null)
  return model.state !== 'Stable' || !known || String(known.protocols) === String(protocols)
}

const joinOf = (slot: number, version: number, identity: string, list: number, type: string) =>
  command(
    `join ${slot} v${version} as ${identity} with ${protocolLists[list]} ${type}`,
    async (model, real) => {
      const instanceId = (version >= 5 && instances[slot]) || null
      const memberId = real.idOf(model, slot, identity)
      const protocols = protocolLists[list] as string[]
      const name = `n${real.names++}`
      const sent = await real.send(slot, (client) =>
        client.ask(
          joinGroup,
          version,
          {
            groupId: real.groupId,
            sessionTimeoutMs: SESSION_MS,
            rebalanceTimeoutMs: SESSION_MS,
            memberId,
            groupInstanceId: instanceId,
            protocolType: type,
            protocols: protocols.map((each) => ({ name: each, metadata: subscription })),
          },
          name,
        ),
      )
      model.join({ name, version, memberId, instanceId, protocolType: type, protocols }, sent)
    },
    (model) => needsLeader(model) && isPlain(model, slot, protocolLists[list] as string[]),
  )

const syncOf = (slot: number, identity: string, late: number) =>
  command(
    `sync ${slot} as ${identity}, generation ${late}`,
    async (model, real) => {
      const memberId = real.idOf(model, slot, identity)
      const generation = model.generation + late
      const assignments = new Map(
        [...model.members].map(({ id, name }) => [id ?? '', `${name} in ${generation} by ${slot}`]),
      )
      const instanceId = instances[slot] ?? null
      const sent = await real.send(slot, (client) =>
        client.ask(syncGroup, 4, {
          groupId: real.groupId,
          generationId: generation,
          memberId,
          groupInstanceId: instanceId,
          assignments: [...assignments].map(([id, text]) => ({
            memberId: id,
            assignment: Buffer.from(text),
          })),
        }),
      )
      model.sync(memberId, instanceId, generation, assignments, sent)
    },
    needsLeader,
  )

const heartbeatOf = (slot: number, identity: string, late: number) =>
  command(`heartbeat ${slot} as ${identity}, generation ${late}`, async (model, real) => {
    const memberId = real.idOf(model, slot, identity)
    const generationId = model.generation + late
    const groupInstanceId = instances[slot] ?? null
    const answer = await ask(real.observer, heartbeat, 4, {
      groupId: real.groupId,
      generationId,
      memberId,
      groupInstanceId,
    })
    const expected = model.heartbeat(memberId, groupInstanceId, generationId)
    expect(answer.errorCode, expected, 'heartbeat')
  })

const commitOf = (slot: number, identity: string, late: number, partition: number, at: number) =>
  command(
    `commit ${at} for ${partition} by ${slot} as ${identity}, generation ${late}`,
    async (model, real) => {
      const memberId = real.idOf(model, slot, identity)
      const generation = late === -9 ? -1 : model.generation + late
      const groupInstanceId = memberId === '' ? null : (instances[slot] ?? null)
      const answer = await ask(real.observer, offsetCommit, 8, {
        groupId: real.groupId,
        generationIdOrMemberEpoch: generation,
        memberId,
        groupInstanceId,
        topics: [
          {
            name: real.topic,
            topicId: ZERO_UUID,
            partitions: [{ partitionIndex: partition, committedOffset: at, committedMetadata: '' }],
          },
        ],
      })
      const expected = model.commit(memberId, groupInstanceId, generation)
      const code = answer.topics[0]?.partitions[0]?.errorCode
      expect(code, expected, 'commit')
      if (expected === ErrorCode.NONE) model.committed.set(partition, at)
    },
  )

const leaveOf = (slot: number, identity: string) =>
  command(`leave ${slot} as ${identity}`, async (model, real) => {
    const memberId = real.idOf(model, slot, identity)
    const groupInstanceId = instances[slot] ?? null
    const answer = await ask(real.observer, leaveGroup, 4, {
      groupId: real.groupId,
      memberId: '',
      members: [{ memberId, groupInstanceId }],
    })
    expect(answer.errorCode, 0, 'leave')
    expect(answer.members[0]?.errorCode, model.leave(memberId, groupInstanceId), 'leave')
  })

/** A connection that waits for an answer breaks. The member stays. */
const disconnect = (slot: number) =>
  command(`connection of ${slot} breaks`, async (_, real) => {
    for (const sent of real.open) if (sent.slot === slot) real.drop(sent)
  })

const fetchOffsets = () =>
  command('fetch offsets', async (model, real) => {
    const answer = await ask(real.observer, offsetFetch, 7, {
      groupId: real.groupId,
      topics: null,
      groups: [],
      requireStable: true,
    })
    const partitions = answer.topics.flatMap((topic) => topic.partitions)
    const told = partitions.map(({ partitionIndex, committedOffset }) => [
      partitionIndex,
      committedOffset,
    ])
    const kept = [...model.committed].sort(([a], [b]) => a - b)
    expect(
      told.sort(([a = 0], [b = 0]) => a - b),
      kept,
      'committed offsets',
    )
  })

/** Everybody does what the group asks for, until it is stable. */
const cooperate = () =>
  command('everybody cooperates', async (model, real) => {
    if (model.state !== 'CompletingRebalance' || !model.leader?.id) return
    const slot = real.ids.indexOf(model.leader.id)
    if (slot >= 0) await syncOf(slot, 'own', 0).run(model, real)
  })

function command(
  text: string,
  work: (model: GroupModel, real: RealGroup) => Promise<void>,
  may: (model: Readonly<GroupModel>) => boolean = () => true,
): Command {
  return {
    check: async (model) => may(model),
    run: async (model, real) => {
      await work(model, real)
      await settle(model, real)
    },
    toString: () => text,
  }
}

const slot = fc.nat(slots - 1)
const identity = fc.constantFrom(...identities)
const late = fc.constantFrom(0, 0, 0, 0, 1, -1)
const join = fc
  .tuple(
    slot,
    fc.constantFrom(2, 5, 5, 7),
    identity,
    fc.constantFrom(0, 0, 1, 1, 1, 2, 3, 4),
    fc.constantFrom('consumer', 'consumer', 'consumer', 'consumer', 'connect'),
  )
  .map((parts) => joinOf(...parts))

/** Joins and syncs come in more than one kind, so that groups become stable now and then. */
export const groupCommands = fc.commands<GroupModel, RealGroup, true>(
  [
    join,
    join,
    fc
      .tuple(slot, fc.constantFrom(5, 7))
      .map(([who, version]) => joinOf(who, version, 'own', 1, 'consumer')),
    fc.tuple(slot, identity, late).map((parts) => syncOf(...parts)),
    slot.map((who) => syncOf(who, 'own', 0)),
    fc.tuple(slot, identity, late).map((parts) => heartbeatOf(...parts)),
    fc
      .tuple(
        slot,
        identity,
        fc.constantFrom(0, 0, 0, 1, -1, -9),
        fc.nat(PARTITIONS - 1),
        fc.nat(99),
      )
      .map((parts) => commitOf(...parts)),
    fc.tuple(slot, identity).map((parts) => leaveOf(...parts)),
    slot.map(disconnect),
    fc.constant(fetchOffsets()),
    fc.constant(cooperate()),
  ],
  { maxCommands: 60, size: 'max' },
)
