// Goal: every rule of a classic group can be read as a story. Method: scripts/*.txt hold commands and, under each, what the
// machine answered; a change of behaviour is a diff of those files. LMQ_REWRITE=1 writes them anew.
//
// A command stands on one line, its outcome between "----" and an empty line. Options are `name=value`:
//   new delay= max=                             a group without members; `delay` is the initial rebalance delay
//   join WHO id= instance= protocols=a,b type= topics=a,b session= rebalance= v=
//   sync WHO gen= instance= protocol= type= give=MEMBER:TEXT,...
//   heartbeat WHO gen= instance=                commit WHO gen= instance= txn=
//   leave WHO,... instance=                     settle ERROR        the record is written, or failed
//   tick MS                                     state               what the group looks like
//   restore                                     a new machine from the last record, as after a failover
//   die                                         subscribed TOPIC    expiry of the group's offsets
// WHO is the newest member id that the machine gave to that name, or the id itself.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ClassicGroupMachine } from '../../../src/coordinator/group/classic-group-machine.ts'
import type {
  GroupDecision,
  GroupEffect,
  JoinAnswer,
  LeaveAnswer,
  Settlement,
} from '../../../src/coordinator/group/group-commands.ts'
import type { GroupMetadata } from '../../../src/coordinator/group/group-records.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { repositoryRoot } from '../../tools/repository-root.ts'
import { subscription } from './group-scenarios.ts'

/** In the sources also when the compiled test runs: the files are written anew there. */
const folder = join(repositoryRoot(import.meta.url), 'test/unit/coordinator/scripts')
const isRewriting = process.env['LMQ_REWRITE'] === '1'

type Options = Readonly<Record<string, string>>

class Script {
  nowMs = 0
  #settings = { initialRebalanceDelayMs: 0, maxSize: 100 }
  #machine = new ClassicGroupMachine('g', this.#settings, 0)
  #ids = new Map<string, string>()
  #requests = 0
  #record: GroupMetadata | undefined
  #settlement: Settlement | undefined

  run(line: string): string[] {
    const [command = '', ...words] = line.split(' ')
    const who = words.find((word) => !word.includes('=')) ?? ''
    const options: Options = Object.fromEntries(
      words.filter((word) => word.includes('=')).map((word) => splitOnce(word, '=')),
    )
    const lines = this.#commands[command]?.(who, options)
    if (!lines) throw new Error(`no such command: ${line}`)
    return lines
  }

  readonly #commands: Record<string, (who: string, options: Options) => string[]> = {
    new: (_who, { delay = '0', max = '100' }) => {
      this.#settings = { initialRebalanceDelayMs: Number(delay), maxSize: Number(max) }
      this.#machine = new ClassicGroupMachine('g', this.#settings, this.nowMs)
      return this.#state()
    },
    join: (who, options) => this.#join(who, options),
    sync: (who, options) => {
      const gives = (options['give'] ?? '').split(',').filter((each) => each !== '')
      const decision = this.#machine.sync(
        {
          requestId: ++this.#requests,
          memberId: this.#id(who),
          groupInstanceId: options['instance'] ?? null,
          generationId: Number(options['gen']),
          protocolType: options['type'] ?? null,
          protocolName: options['protocol'] ?? null,
          assignments: gives.map((each) => {
            const [member, text] = splitOnce(each, ':')
            return { memberId: this.#id(member), assignment: Buffer.from(text) }
          }),
        },
        this.nowMs,
      )
      return this.#show(decision)
    },
    heartbeat: (who, options) => [
      errorName(this.#machine.heartbeat(this.#from(who, options), this.nowMs)),
    ],
    commit: (who, options) => {
      const isTransactional = options['txn'] === 'yes'
      const command = { ...this.#from(who, options), isTransactional }
      return [errorName(this.#machine.commit(command, this.nowMs))]
    },
    leave: (who, { instance }) => {
      const answers: LeaveAnswer[] = []
      const ids = who === '' ? [''] : who.split(',').map((each) => this.#id(each))
      const members = ids.map((memberId) => ({
        memberId,
        groupInstanceId: instance ?? null,
        reason: null,
      }))
      const decision = this.#machine.leave(members, answers, this.nowMs)
      const shown = answers.map(({ memberId, errorCode }) => `${memberId} ${errorName(errorCode)}`)
      return [`left: ${shown.join(', ')}`, ...this.#show(decision)]
    },
    settle: (error) => {
      if (!this.#settlement) return ['nothing to settle']
      const code = (ErrorCode as Record<string, ErrorCode>)[error || 'NONE'] ?? ErrorCode.NONE
      const settlement = this.#settlement
      this.#settlement = undefined
      return this.#show(this.#machine.settle(settlement, code, this.nowMs))
    },
    tick: (ms) => {
      this.nowMs += Number(ms)
      return [`at ${this.nowMs}`, ...this.#show(this.#machine.tick(this.nowMs))]
    },
    state: () => this.#state(),
    restore: () => {
      if (!this.#record) return ['no record']
      this.#machine = ClassicGroupMachine.restore('g', this.#record, this.#settings)
      return [...this.#show(this.#machine.resume(this.nowMs)), ...this.#state()]
    },
    die: () => this.#show(this.#machine.die(ErrorCode.NOT_COORDINATOR)),
    subscribed: (topic) => {
      const isSubscribed = this.#machine.isSubscribedTo(topic)
      const start = this.#machine.retentionStart(123)
      return [`${topic} ${isSubscribed ? 'is' : 'is not'} read, retention from ${start}`]
    },
  }

  #join(who: string, options: Options): string[] {
    const topics = (options['topics'] ?? 'orders').split(',')
    const version = Number(options['v'] ?? 9)
    const requestId = ++this.#requests
    const newMemberId = `${who}-${requestId}`
    const decision = this.#machine.join(
      {
        requestId,
        memberId: options['id'] === undefined ? '' : this.#id(options['id']),
        groupInstanceId: options['instance'] ?? null,
        clientId: who,
        clientHost: '/host',
        sessionTimeoutMs: Number(options['session'] ?? 10_000),
        rebalanceTimeoutMs: Number(options['rebalance'] ?? 60_000),
        protocolType: options['type'] ?? 'consumer',
        protocols: (options['protocols'] ?? 'range')
          .split(',')
          .filter((name) => name !== '')
          .map((name) => ({ name, metadata: subscription(...topics) })),
        reason: null,
        newMemberId,
        requiresKnownMemberId: version >= 4,
        supportsSkipAssignment: version >= 9,
      },
      this.nowMs,
    )
    const { roster } = this.#machine
    const isKnown = roster.members.has(newMemberId) || roster.pendingJoins.has(newMemberId)
    if (isKnown) this.#ids.set(who, newMemberId)
    return [`request ${requestId}`, ...this.#show(decision)]
  }

  #from(who: string, options: Options) {
    return {
      memberId: who === 'nobody' ? '' : this.#id(who),
      groupInstanceId: options['instance'] ?? null,
      generationId: Number(options['gen'] ?? -1),
    }
  }

  #id(who: string): string {
    return this.#ids.get(who) ?? who
  }

  #show({ effects, record, settlement }: GroupDecision): string[] {
    const lines = effects.map(showEffect)
    if (record) {
      this.#record = record
      this.#settlement = settlement
      lines.push(`writes: ${showRecord(record)}`)
    }
    return lines
  }

  #state(): string[] {
    const { state, generationId, protocolType, protocolName, roster } = this.#machine
    const lines = [
      `${state} gen=${generationId} type=${protocolType} protocol=${protocolName} leader=${roster.leaderId}`,
    ]
    for (const member of roster.members.values()) {
      const waits = `${member.joinRequestId ? ' joins' : ''}${member.syncRequestId ? ' syncs' : ''}`
      const instance = member.groupInstanceId === null ? '' : ` instance=${member.groupInstanceId}`
      lines.push(`  ${member.memberId}${instance} has "${member.assignment}"${waits}`)
    }
    for (const memberId of roster.pendingJoins.keys()) lines.push(`  ${memberId} may join`)
    return lines
  }
}

function showEffect(effect: GroupEffect): string {
  if (effect.kind === 'note') {
    return `note: ${effect.message}${effect.reason === undefined ? '' : ` (${effect.reason})`}`
  }
  if (effect.kind === 'join') return `answers ${effect.requestId}: ${showJoin(effect.answer)}`
  const { errorCode, protocolType, protocolName, assignment } = effect.answer
  const outcome =
    errorCode === ErrorCode.NONE
      ? `NONE ${protocolType} ${protocolName} "${assignment}"`
      : errorName(errorCode)
  return `answers ${effect.requestId}: ${outcome}`
}

function showJoin(answer: JoinAnswer): string {
  if (answer.errorCode !== ErrorCode.NONE)
    return `${errorName(answer.errorCode)} ${answer.memberId}`
  const { memberId, generationId, protocolName, leader, members, skipAssignment } = answer
  const others = members.map((each) => each.memberId).join(' ')
  const skips = skipAssignment ? ' skip' : ''
  return `NONE ${memberId} gen=${generationId} ${protocolName} leader=${leader} [${others}]${skips}`
}

function showRecord(record: GroupMetadata): string {
  const { generation, protocol, leader, members, currentStateTimestamp } = record
  const shown = members.map(({ memberId, assignment }) => `${memberId} "${assignment}"`)
  return `gen=${generation} ${protocol} leader=${leader} since=${currentStateTimestamp} [${shown.join(', ')}]`
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** Runs the commands of a script and gives the script with what really happened. */
function replay(text: string): string {
  const script = new Script()
  const blocks = text.trimEnd().split(/\n\n+/)
  return `${blocks
    .map((block) => {
      const [head = ''] = block.split('\n----')
      const comments = head.split('\n').filter((line) => line.startsWith('#'))
      const commands = head.split('\n').filter((line) => !line.startsWith('#') && line !== '')
      if (commands.length === 0) return block
      const outcome = commands.flatMap((command) => script.run(command))
      return [...comments, ...commands, '----', ...outcome].join('\n')
    })
    .join('\n\n')}\n`
}

for (const name of readdirSync(folder)) {
  t.test(name, async (t) => {
    const file = join(folder, name)
    const expected = readFileSync(file, 'utf8')
    const happened = replay(expected)
    if (isRewriting) writeFileSync(file, happened)
    else t.equal(happened, expected)
  })
}
