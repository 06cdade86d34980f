import type { Partition } from '../cluster/partition.ts'

/** As a client names it: by the topic's name or its id, the other one is empty. */
export type PartitionName = {
  readonly topic: string
  readonly topicId: string
  readonly partitionIndex: number
}

/** What a client asks of one partition. */
export type FetchWish = PartitionName & {
  readonly fetchOffset: number
  readonly maxBytes: number
  readonly currentLeaderEpoch: number
  readonly lastFetchedEpoch: number
  /** Of a follower: where its log begins; -1 for others. */
  readonly logStartOffset: number
  /** Of a follower: what it knows of the leader's high watermark (KIP-1166); -1 for others. */
  readonly highWatermark: number
}

/** One partition of a fetch list. */
export class FetchEntry {
  readonly list: FetchList
  readonly topic: string
  readonly topicId: string
  readonly partitionIndex: number
  fetchOffset: number
  maxBytes: number
  currentLeaderEpoch: number
  lastFetchedEpoch: number
  logStartOffset: number
  /** The request of a follower that was counted for this partition last. */
  countedFetch: object | undefined
  /** What the client was told last; -1 = nothing, or an error. */
  sentHighWatermark = -1
  sentLogStartOffset = -1
  /** In the ready queue of its list. */
  queued = false
  removed = false
  /** Where this entry is registered to be told of changes. */
  #watched: Partition | undefined

  constructor(list: FetchList, wish: FetchWish) {
    this.list = list
    this.topic = wish.topic
    this.topicId = wish.topicId
    this.partitionIndex = wish.partitionIndex
    this.fetchOffset = wish.fetchOffset
    this.maxBytes = wish.maxBytes
    this.currentLeaderEpoch = wish.currentLeaderEpoch
    this.lastFetchedEpoch = wish.lastFetchedEpoch
    this.logStartOffset = wish.logStartOffset
  }

  update(wish: FetchWish): void {
    this.fetchOffset = wish.fetchOffset
    this.maxBytes = wish.maxBytes
    this.currentLeaderEpoch = wish.currentLeaderEpoch
    this.lastFetchedEpoch = wish.lastFetchedEpoch
    this.logStartOffset = wish.logStartOffset
  }

  /** The partition moved: its high watermark, last stable offset or log start, or it is no longer led here. */
  readonly notify = (): void => {
    this.list.enqueue(this)
    this.list.wake?.()
  }

  /** From now on `notify` is called when `partition` moves; before, when another one did. */
  watch(partition: Partition | undefined): void {
    if (partition === this.#watched) return
    this.#watched?.removeWaiter(this.notify)
    this.#watched = partition
    partition?.addWaiter(this.notify, this.list.isReplica)
  }
}

/**
 * The partitions that one fetch, or one fetch session, is about, in the order in which they are served. It keeps a
 * queue of those that may have something to tell, so that a session of thousands of quiet partitions costs nothing.
 */
export class FetchList {
  readonly #entries = new Map<string, FetchEntry>()
  /** Entries to look at, in order of service. May hold removed ones. */
  #queue: FetchEntry[] = []
  /** Topics are known by their ids here; otherwise by their names, which a client may leave empty. */
  readonly usesTopicIds: boolean
  /** A follower's: it sees what is written. */
  readonly isReplica: boolean
  /** Set while a request waits for news. */
  wake: (() => void) | undefined

  constructor(usesTopicIds: boolean, isReplica = false) {
    this.usesTopicIds = usesTopicIds
    this.isReplica = isReplica
  }

  get size(): number {
    return this.#entries.size
  }

  entries(): Iterable<FetchEntry> {
    return this.#entries.values()
  }

  /** Adds a partition or changes what is asked of it; it will be looked at. */
  put(wish: FetchWish): void {
    const key = keyOf(wish)
    const known = this.#entries.get(key)
    if (known !== undefined) {
      known.update(wish)
      this.enqueue(known)
      return
    }
    const entry = new FetchEntry(this, wish)
    if (this.isReplica) {
      entry.sentHighWatermark = wish.highWatermark
      entry.sentLogStartOffset = wish.logStartOffset
    }
    this.#entries.set(key, entry)
    this.enqueue(entry)
  }

  /** The next request looks at the partition, if it is in the list, as if it named it. */
  lookAgain(partition: PartitionName): void {
    const entry = this.#entries.get(keyOf(partition))
    if (entry !== undefined) this.enqueue(entry)
  }

  forget(partition: PartitionName): void {
    const key = keyOf(partition)
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    entry.removed = true
    entry.watch(undefined)
  }

  enqueue(entry: FetchEntry): void {
    if (entry.queued || entry.removed) return
    entry.queued = true
    this.#queue.push(entry)
  }

  /** Takes out everything that is to be looked at, in order. What is still of interest afterwards is put back. */
  takeQueue(): FetchEntry[] {
    const queue = this.#queue
    this.#queue = []
    for (const entry of queue) entry.queued = false
    return queue
  }

  /** Stops being told of anything. */
  close(): void {
    this.wake = undefined
    for (const entry of this.#entries.values()) {
      entry.removed = true
      entry.watch(undefined)
    }
    this.#entries.clear()
    this.#queue = []
  }
}

/** Where ids are used the name is ""; otherwise the id is the zero uuid. */
const keyOf = ({ topic, topicId, partitionIndex }: PartitionName): string =>
  `${topic === '' ? topicId : topic}/${partitionIndex}`
