/** Collects what one command of a group's machine leads to, until the decision is taken out. */
import type {
  GroupDecision,
  GroupEffect,
  JoinAnswer,
  Settlement,
  SyncAnswer,
} from './group-commands.ts'
import { type GroupMember, NO_REQUEST } from './group-member.ts'
import type { GroupMetadata } from './group-records.ts'
import type { GroupRoster } from './group-roster.ts'

export class GroupOutbox {
  readonly #roster: GroupRoster
  #effects: GroupEffect[] = []
  #record: GroupMetadata | undefined
  #settlement: Settlement | undefined

  constructor(roster: GroupRoster) {
    this.#roster = roster
  }

  join(requestId: number, answer: JoinAnswer): void {
    this.#effects.push({ kind: 'join', requestId, answer })
  }

  sync(requestId: number, answer: SyncAnswer): void {
    this.#effects.push({ kind: 'sync', requestId, answer })
  }

  /** Answers the member's waiting join, if there is one. */
  joinOf(member: GroupMember, answer: JoinAnswer): void {
    if (member.joinRequestId === NO_REQUEST) return
    this.join(member.joinRequestId, answer)
    this.#roster.setJoinRequest(member, NO_REQUEST)
  }

  /** Answers the member's waiting sync, if there is one. */
  syncOf(member: GroupMember, answer: SyncAnswer): void {
    if (member.syncRequestId === NO_REQUEST) return
    this.sync(member.syncRequestId, answer)
    member.syncRequestId = NO_REQUEST
  }

  note(message: string, reason?: string): void {
    this.#effects.push({ kind: 'note', message, ...(reason === undefined ? {} : { reason }) })
  }

  /** At most one record comes of a command. */
  write(record: GroupMetadata, settlement: Settlement): void {
    this.#record = record
    this.#settlement = settlement
  }

  take(): GroupDecision {
    const decision = {
      effects: this.#effects,
      record: this.#record,
      settlement: this.#settlement,
    }
    this.#effects = []
    this.#record = undefined
    this.#settlement = undefined
    return decision
  }
}
