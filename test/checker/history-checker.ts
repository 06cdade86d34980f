/**
 * Judges what clients of a cluster saw, by the definitions of Jepsen's Kafka workload. Pure: a history in, anomalies out.
 *
 * A history is a list of events in the order of their times. Each value is sent once and is unique. The last phase of a
 * run heals everything and polls until every known offset was read.
 */

export type Place = { readonly topic: string; readonly partition: number }

/** What a producer sends, and with `ok` where it went. */
export type SendValue = Place & {
  readonly value: string
  readonly acks: -1 | 0 | 1
  readonly idempotent: boolean
  /** Not idempotent, but with one request under way at a time: what is stored has the order in which it was sent. */
  readonly isOrdered?: boolean
  /** Of an `ok`; -1: not known. */
  readonly offset?: number
}

export type PollValue = Place & {
  /** Offset and value, in the order in which they came. */
  readonly records: readonly (readonly [offset: number, value: string])[]
}

/** Records below `offset` are to go: from here on they may be there or not. */
export type TrimValue = Place & { readonly offset: number }

export type GroupOffset = Place & { readonly group: string; readonly offset: number }

type EventOf<F extends string, Value> = {
  /** Of a client: a producer session, a consumer. */
  readonly process: string
  /** `ok`: it happened. `fail`: it did not. `info`: nobody knows. */
  readonly type: 'invoke' | 'ok' | 'fail' | 'info'
  readonly f: F
  readonly value: Value
  /** Milliseconds. */
  readonly t: number
}

export type HistoryEvent =
  | EventOf<'send', SendValue>
  | EventOf<'poll', PollValue>
  /** The process reads these partitions from now on, from wherever it is told. */
  | EventOf<'assign', readonly Place[]>
  | EventOf<'commit', GroupOffset>
  /** What a group is told that it has committed; an `invoke` marks when it was asked for. */
  | EventOf<'committed', GroupOffset>
  | EventOf<'trim', TrimValue>
  | EventOf<'crash', null>

export type AnomalyKind =
  | 'inconsistent offset'
  | 'duplicate'
  | 'lost write'
  | 'unseen'
  | 'phantom'
  | 'going back'
  | 'internal skip'
  | 'non-monotonic send'
  | 'out of order'
  | 'group offset back'
  | 'group offset ahead'

export type Anomaly = { readonly kind: AnomalyKind; readonly what: string }

export type Verdict = {
  readonly anomalies: readonly Anomaly[]
  readonly sends: number
  readonly acknowledged: number
  readonly polled: number
  /** From the acknowledgement of a send until anybody first read it, at most; milliseconds. */
  readonly longestLagMs: number
}

export type CheckOptions = {
  /** By `topic-partition`: the end of what is committed, when all was over. Without it nothing is told of offsets ahead. */
  readonly highWatermarks?: ReadonlyMap<string, number>
}

type Sent = SendValue & { readonly process: string; readonly order: number } & {
  okMs: number
  at: number
}

const MOST_ANOMALIES = 100

export function checkHistory(events: readonly HistoryEvent[], options: CheckOptions = {}): Verdict {
  const checker = new Checker(options)
  for (const event of events) checker.take(event)
  return checker.verdict()
}

class Checker {
  readonly #options: CheckOptions
  readonly #anomalies: Anomaly[] = []
  readonly #sent = new Map<string, Sent>()
  /** By partition, then offset: the value. */
  readonly #values = new Map<string, Map<number, string>>()
  /** By value: where it was read. */
  readonly #read = new Map<string, { place: string; offset: number; atMs: number }>()
  /** By partition: the highest offset that anybody read. */
  readonly #highest = new Map<string, number>()
  /** Next offset of a process in a partition. */
  readonly #positions = new Map<string, number>()
  readonly #lastSent = new Map<string, number>()
  readonly #committed = new Map<string, number>()
  readonly #asked = new Map<string, number>()
  /** By partition: what is below may be gone. */
  readonly #trimmed = new Map<string, number>()
  #acknowledged = 0
  #polled = 0

  constructor(options: CheckOptions) {
    this.#options = options
  }

  take(event: HistoryEvent): void {
    switch (event.f) {
      case 'send':
        this.#takeSend(event)
        break
      case 'poll':
        if (event.type === 'ok') this.#takePoll(event.process, event.value, event.t)
        break
      case 'assign':
        for (const key of [...this.#positions.keys()]) {
          if (key.startsWith(`${event.process} `)) this.#positions.delete(key)
        }
        break
      case 'commit':
        if (event.type === 'ok') this.#takeCommit(event.value)
        break
      case 'committed':
        this.#takeCommitted(event)
        break
      case 'trim':
        this.#takeTrim(event.value)
        break
      default:
        break
    }
  }

  verdict(): Verdict {
    let longestLagMs = 0
    for (const sent of this.#sent.values()) {
      if (sent.okMs < 0) continue
      const read = this.#read.get(sent.value)
      if (read) longestLagMs = Math.max(longestLagMs, read.atMs - sent.okMs)
      else if (sent.acks === -1) this.#missing(sent)
    }
    for (const [place, values] of this.#values) this.#checkOrder(place, values)
    return {
      anomalies: this.#anomalies,
      sends: this.#sent.size,
      acknowledged: this.#acknowledged,
      polled: this.#polled,
      longestLagMs,
    }
  }

  #tell(kind: AnomalyKind, what: string): void {
    if (this.#anomalies.length < MOST_ANOMALIES) this.#anomalies.push({ kind, what })
  }

  #takeSend({ process, type, value: send, t }: EventOf<'send', SendValue>): void {
    const { value, offset = -1, acks } = send
    if (type === 'invoke') {
      if (this.#sent.has(value)) throw new Error(`the value ${value} is sent twice`)
      this.#sent.set(value, { ...send, process, order: this.#sent.size, okMs: -1, at: -1 })
      return
    }
    const sent = this.#sent.get(value)
    if (type !== 'ok' || !sent) return
    sent.okMs = t
    this.#acknowledged++
    if (offset < 0) return
    sent.at = offset
    const place = placeOf(send)
    const key = `${process} ${place}`
    const last = this.#lastSent.get(key) ?? -1
    if (offset <= last && acks === -1) {
      this.#tell('non-monotonic send', `${process}: ${value} at ${place}@${offset} after ${last}`)
    }
    this.#lastSent.set(key, offset)
    if (acks === -1) this.#note(place, offset, value)
  }

  /** What is committed at an offset stays there. */
  #note(place: string, offset: number, value: string): void {
    let values = this.#values.get(place)
    if (!values) {
      values = new Map()
      this.#values.set(place, values)
    }
    const known = values.get(offset)
    if (known === undefined) values.set(offset, value)
    else if (known !== value) {
      this.#tell('inconsistent offset', `${place}@${offset} is ${known} and ${value}`)
    }
  }

  /** Of a record that is there twice, the first one counts: the other is a retry's. */
  #checkOrder(place: string, values: ReadonlyMap<number, string>): void {
    const seen = new Set<string>()
    const last = new Map<string, Sent>()
    for (const [offset, value] of [...values].sort(([a], [b]) => a - b)) {
      const sent = this.#sent.get(value)
      if (!sent || seen.has(value) || !(sent.idempotent || sent.isOrdered)) continue
      seen.add(value)
      const before = last.get(sent.process)
      if (before && before.order > sent.order) {
        this.#tell('out of order', `${value} at ${place}@${offset} behind ${before.value}`)
      } else last.set(sent.process, sent)
    }
  }

  #takeTrim(trim: TrimValue): void {
    const place = placeOf(trim)
    this.#trimmed.set(place, Math.max(trim.offset, this.#trimmedTo(place)))
  }

  #trimmedTo(place: string): number {
    return this.#trimmed.get(place) ?? 0
  }

  #takePoll(process: string, poll: PollValue, t: number): void {
    const place = placeOf(poll)
    const key = `${process} ${place}`
    let next = this.#positions.get(key)
    for (const [offset, value] of poll.records) {
      this.#polled++
      this.#note(place, offset, value)
      if (next !== undefined && offset < next) {
        this.#tell('going back', `${process}: ${place}@${offset} after ${next - 1}`)
      } else if (next !== undefined && offset > Math.max(next, this.#trimmedTo(place))) {
        this.#tell('internal skip', `${process}: ${place} from ${next} to ${offset}`)
      }
      next = offset + 1
      if (offset > (this.#highest.get(place) ?? -1)) this.#highest.set(place, offset)
      this.#takeRead(place, offset, value, t)
    }
    if (next !== undefined) this.#positions.set(key, next)
  }

  #takeRead(place: string, offset: number, value: string, atMs: number): void {
    const sent = this.#sent.get(value)
    if (!sent || placeOf(sent) !== place) {
      this.#tell('phantom', `${place}@${offset} is ${value}, which nobody sent there`)
      return
    }
    const read = this.#read.get(value)
    if (!read) this.#read.set(value, { place, offset, atMs })
    else if (read.offset !== offset && sent.idempotent) {
      this.#tell('duplicate', `${value} at ${place}@${read.offset} and @${offset}`)
    }
  }

  #missing(sent: Sent): void {
    const place = placeOf(sent)
    const highest = this.#highest.get(place) ?? -1
    if (sent.at >= 0 && sent.at < this.#trimmedTo(place)) return
    const isBelow = sent.at >= 0 && sent.at <= highest
    const what = `${sent.value} at ${place}@${sent.at}, read up to ${highest}`
    this.#tell(isBelow ? 'lost write' : 'unseen', what)
  }

  #takeCommit({ group, offset, ...place }: GroupOffset): void {
    const key = `${group} ${placeOf(place)}`
    const known = this.#committed.get(key) ?? -1
    if (offset < known) this.#tell('group offset back', `${key}: ${offset} after ${known}`)
    else this.#committed.set(key, offset)
    this.#checkAhead(key, placeOf(place), offset)
  }

  /** What was acknowledged before the question must be in the answer. */
  #takeCommitted({ process, type, value }: EventOf<'committed', GroupOffset>): void {
    const { group, offset } = value
    const key = `${group} ${placeOf(value)}`
    const asked = `${process} ${key}`
    if (type === 'invoke') this.#asked.set(asked, this.#committed.get(key) ?? -1)
    if (type !== 'ok') return
    const known = this.#asked.get(asked) ?? -1
    if (offset < known) this.#tell('group offset back', `${key} is ${offset}, was ${known}`)
    this.#checkAhead(key, placeOf(value), offset)
  }

  #checkAhead(key: string, place: string, offset: number): void {
    const end = this.#options.highWatermarks?.get(place)
    if (end !== undefined && offset > end) {
      this.#tell('group offset ahead', `${key} is ${offset}, the partition ends at ${end}`)
    }
  }
}

export const placeOf = ({ topic, partition }: Place): string => `${topic}-${partition}`
