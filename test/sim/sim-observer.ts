// What must hold at any moment, looked at from outside of every broker.
import { Controller } from '../../src/cluster/controller.ts'
import type { MetadataImage } from '../../src/cluster/metadata-image.ts'
import { encodeRecords } from '../../src/cluster/metadata-records.ts'
import { MetadataTail } from '../../src/cluster/metadata-tail.ts'
import { Partition } from '../../src/cluster/partition.ts'
import { Partitions } from '../../src/cluster/partitions.ts'
import { PartitionLog } from '../../src/log/partition-log.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { ConsulState } from './sim-consul-state.ts'
import { SimProcess } from './sim-host.ts'

/** What one process of a broker is made of, as far as it is looked at. */
type Parts = {
  readonly process: SimProcess
  tail: MetadataTail | undefined
  partitions: Partitions | undefined
  controller: Controller | undefined
}

type Committed = { readonly end: number; readonly lastEpoch: number; readonly leaderEpoch: number }
type Head = { readonly index: number; readonly controllerEpoch: number; readonly writeId: string }

/** Holds nothing of lives that are over. */
const byProcess = new WeakMap<SimProcess, Parts>()

function note<Name extends 'tail' | 'partitions' | 'controller'>(
  name: Name,
  part: NonNullable<Parts[Name]>,
): void {
  const parts = SimProcess.current && byProcess.get(SimProcess.current)
  if (parts) parts[name] = part
}

/** Brokers show their parts to nobody: they are noted as they start. */
function watch<Part extends { start(): unknown }>(
  of: { readonly prototype: Part },
  name: 'tail' | 'partitions' | 'controller',
): void {
  const { start } = of.prototype
  of.prototype.start = function (this: Part) {
    note(name, this as never)
    return start.call(this)
  }
}

/** Of the broker that this process is. */
export const partitionsOf = (process: SimProcess | undefined): Partitions | undefined =>
  process && byProcess.get(process)?.partitions

watch(MetadataTail, 'tail')
watch(Partitions, 'partitions')
watch(Controller, 'controller')

/** Lives come one after the other. */
let present: SimObserver | undefined

const partitionOf = new WeakMap<PartitionLog, Partition>()

/** Each high watermark of a leader is noted, also of one that dies a moment later. */
function watchLeaders(): void {
  replaceSetter('listener', function (listener) {
    if (listener instanceof Partition) partitionOf.set(this, listener)
  })
  replaceSetter('highWatermark', function (end) {
    const partition = partitionOf.get(this)
    if (partition?.isLeader) present?.committed(partition, end)
  })
}

function replaceSetter<Name extends 'listener' | 'highWatermark'>(
  name: Name,
  before: (this: PartitionLog, value: PartitionLog[Name]) => void,
): void {
  const { prototype } = PartitionLog
  const accessor = Object.getOwnPropertyDescriptor(prototype, name)
  Object.defineProperty(prototype, name, {
    ...accessor,
    set(this: PartitionLog, value: PartitionLog[Name]) {
      before.call(this, value)
      accessor?.set?.call(this, value)
    },
  })
}

/** What brokers give to clients of partitions that others lead. */
function watchFollowers(): void {
  const { read } = Partition.prototype
  Partition.prototype.read = function (this: Partition, ...how) {
    if (!this.isLeader && present) present.followerReads++
    return read.apply(this, how)
  }
}

watchLeaders()
watchFollowers()

/** Looks at all brokers from time to time. The first thing that must not be is told, and thrown by `check`. */
export class SimObserver {
  readonly #cluster: SimCluster
  readonly #parts = new Map<number, Parts>()
  /** By partition and leader epoch: who led. */
  readonly #leaders = new Map<string, SimProcess>()
  readonly #highWatermarks = new WeakMap<Partition, { leaderEpoch: number; end: number }>()
  readonly #committed = new Map<string, Committed>()
  readonly #images = new Map<number, string>()
  /** By `topic-partition`: the highest high watermark that any leader had. */
  readonly #highest = new Map<string, number>()
  /** How often a follower gave records to a client. */
  followerReads = 0
  #head: Head | undefined
  #violation: Error | undefined

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
    present = this
    cluster.consul.onCommit = (state) => this.#lookAtStore(state)
  }

  booting(id: number, process: SimProcess): void {
    const parts = { process, tail: undefined, partitions: undefined, controller: undefined }
    this.#parts.set(id, parts)
    byProcess.set(process, parts)
    SimProcess.current = process
  }

  gone(id: number): void {
    const parts = this.#parts.get(id)
    if (parts) byProcess.delete(parts.process)
    this.#parts.delete(id)
  }

  /** The newest metadata that any broker has. */
  get image(): MetadataImage | undefined {
    let newest: MetadataImage | undefined
    for (const { tail } of this.#parts.values()) {
      if (tail && (!newest || tail.image.index > newest.index)) newest = tail.image
    }
    return newest
  }

  /** Everybody has read all of the metadata. */
  get isCurrent(): boolean {
    const { image } = this
    return [...this.#parts.values()].every(({ tail }) => tail?.image.index === image?.index)
  }

  get activeController(): number | undefined {
    for (const [id, { controller }] of this.#parts) if (controller?.isActive) return id
    return undefined
  }

  /**
   * Every partition has a leader, all of its replicas are in sync and have what the leader has, and nothing else is decided
   * already: what the controller could not write for a while may put somebody out of all ISRs a moment later.
   */
  get isWhole(): boolean {
    const { image } = this
    if (!image || image.topics.size === 0) return false
    const active = [...this.#parts.values()].filter(({ controller }) => controller?.isActive)
    if (active.length === 0 || active.some(({ controller }) => !controller?.isSettled)) return false
    // While Consul is away the metadata tells of broker's former runs.
    const running = new Set(this.#cluster.running)
    for (const id of this.#cluster.brokerIds) {
      const isThere = running.has(id) && image.brokers.get(id)?.fenced === false
      if (!isThere || (this.#parts.get(id)?.partitions?.ownBrokerEpoch ?? -1) < 0) return false
    }
    for (const { partitions } of image.topics.values()) {
      for (const { leader, isr, replicas, addingReplicas, removingReplicas } of partitions) {
        if (leader < 0 || isr.length < replicas.length) return false
        if (addingReplicas.length > 0 || removingReplicas.length > 0) return false
      }
    }
    return true
  }

  leaderOf(topic: string, partitionIndex: number): number {
    return this.image?.partition(topic, partitionIndex)?.leader ?? -1
  }

  partitionsOf(id: number): Iterable<Partition> {
    return this.#parts.get(id)?.partitions?.all() ?? []
  }

  /** By `topic-partition`: the end of what is committed, as its leader has it now. */
  get ends(): Map<string, number> {
    const ends = new Map<string, number>()
    for (const { partitions } of this.#parts.values()) {
      for (const { isLeader, topic, partitionIndex, log } of partitions?.all() ?? []) {
        if (isLeader) ends.set(`${topic}-${partitionIndex}`, log.highWatermark)
      }
    }
    return ends
  }

  committed({ topic, partitionIndex }: Partition, end: number): void {
    const name = `${topic}-${partitionIndex}`
    if (end > (this.#highest.get(name) ?? 0)) this.#highest.set(name, end)
  }

  /** A client reads this. */
  shown(name: string, offset: number): void {
    const end = this.#highest.get(name) ?? 0
    if (offset >= end) this.#tell(`${name}@${offset} is shown, ${end} is committed`)
  }

  /** @throws what was found so far */
  check(): void {
    if (this.#violation) throw this.#violation
  }

  look(): void {
    for (const [id, parts] of this.#parts) {
      for (const partition of parts.partitions?.all() ?? []) {
        if (partition.isLeader) this.#lookAtLeader(id, parts.process, partition)
      }
    }
    this.#lookAtControllers()
  }

  /** Brokers that are at the same entry of the metadata log have the same metadata. */
  lookAtImages(): void {
    for (const [id, { tail }] of this.#parts) {
      if (!tail || tail.image.index < 0) continue
      const { index } = tail.image
      const content = encodeRecords([...tail.image.toRecords()]).toString('base64')
      const known = this.#images.get(index)
      if (known === undefined) this.#images.set(index, content)
      else if (known !== content) this.#tell(`metadata of broker ${id} differs at entry ${index}`)
    }
    for (const index of this.#images.keys()) {
      if (this.#images.size <= 20) break
      this.#images.delete(index)
    }
  }

  #lookAtLeader(id: number, process: SimProcess, partition: Partition): void {
    const { topicId, topic, partitionIndex, leaderEpoch, log } = partition
    const name = `${topic}-${partitionIndex}`
    const key = `${topicId}/${partitionIndex}`
    const term = `${key}/${leaderEpoch}`
    const known = this.#leaders.get(term)
    if (known && known !== process) this.#tell(`${name} has two leaders of epoch ${leaderEpoch}`)
    const isNew = !known
    this.#leaders.set(term, process)
    if (log.state !== 'open') {
      if (isNew) this.#leaders.delete(term)
      return
    }
    const end = log.highWatermark
    const before = this.#highWatermarks.get(partition)
    if (before && before.leaderEpoch === leaderEpoch && end < before.end) {
      this.#tell(`${name}: the high watermark of leader ${id} went from ${before.end} to ${end}`)
    }
    this.#highWatermarks.set(partition, { leaderEpoch, end })
    const committed = this.#committed.get(key)
    if (committed && leaderEpoch > committed.leaderEpoch) {
      const { end: wanted, lastEpoch } = committed
      if (log.logEndOffset < wanted) {
        const what = `leader ${id} of epoch ${leaderEpoch} ends at ${log.logEndOffset}`
        this.#tell(`${name}: ${what}, ${wanted} is committed`)
      } else if (
        // Unknown where all of it was deleted just then.
        lastEpoch >= 0 &&
        wanted > log.logStartOffset &&
        log.epochForOffset(wanted - 1) !== lastEpoch
      ) {
        this.#tell(`${name}@${wanted - 1} is of another epoch at leader ${id}`)
      }
    }
    if (committed && leaderEpoch < committed.leaderEpoch) return
    if (end > (committed?.end ?? 0) || leaderEpoch > (committed?.leaderEpoch ?? -1)) {
      const lastEpoch = end > log.logStartOffset ? log.epochForOffset(end - 1) : -1
      const kept = committed && committed.end > end ? committed : { end, lastEpoch }
      this.#committed.set(key, { ...kept, leaderEpoch })
    }
  }

  #lookAtControllers(): void {
    const epochs = new Map<number, number>()
    for (const [id, { controller }] of this.#parts) {
      if (!controller?.isActive) continue
      const other = epochs.get(controller.controllerEpoch)
      if (other !== undefined) this.#tell(`controllers ${other} and ${id} have one epoch`)
      epochs.set(controller.controllerEpoch, id)
    }
  }

  /** Each entry comes behind the one before, under an epoch that does not go back, from who holds the lock. */
  #lookAtStore(state: ConsulState): void {
    for (const [key, { value }] of state.pairs) {
      if (!key.endsWith('/head')) continue
      const head = JSON.parse(value.toString('utf8', 0, value.indexOf('\n'))) as Head
      const before = this.#head
      if (before?.writeId === head.writeId) return
      this.#head = head
      if (!before) return
      const { index, controllerEpoch } = head
      if (index < before.index || index > before.index + 1) {
        this.#tell(`the metadata log went from entry ${before.index} to ${index}`)
      }
      if (controllerEpoch < before.controllerEpoch) {
        this.#tell(`a controller of epoch ${controllerEpoch} wrote after ${before.controllerEpoch}`)
      }
      const lock = state.pairs.get(key.replace(/head$/, 'locks/controller'))
      if (!lock?.sessionId) this.#tell(`entry ${index} was written without the lock`)
      return
    }
  }

  #tell(what: string): void {
    this.#cluster.tell(`VIOLATION: ${what}`)
    this.#violation ??= new Error(what)
  }
}
