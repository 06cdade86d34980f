import type { RecordOf } from './metadata-records.ts'

/** The replicas that their brokers cannot serve, because the disks under them failed. Empty in nearly all clusters. */
export class FailedReplicas {
  /** By broker, then topic id: numbers of partitions. */
  readonly #byBroker = new Map<number, Map<string, Set<number>>>()

  get isEmpty(): boolean {
    return this.#byBroker.size === 0
  }

  has(brokerId: number, topicId: string, partitionIndex: number): boolean {
    return this.#byBroker.get(brokerId)?.get(topicId)?.has(partitionIndex) ?? false
  }

  add(brokerId: number, topicId: string, partitions: Iterable<number>): void {
    let topics = this.#byBroker.get(brokerId)
    if (!topics) {
      topics = new Map()
      this.#byBroker.set(brokerId, topics)
    }
    topics.set(topicId, new Set([...(topics.get(topicId) ?? []), ...partitions]))
  }

  /** The broker has no replica of the partition any more. */
  remove(brokerId: number, topicId: string, partitionIndex: number): void {
    const topics = this.#byBroker.get(brokerId)
    const partitions = topics?.get(topicId)
    if (!topics || !partitions?.delete(partitionIndex)) return
    if (partitions.size === 0) topics.delete(topicId)
    if (topics.size === 0) this.#byBroker.delete(brokerId)
  }

  /** A new process of it says anew what it cannot serve; or it is gone. */
  forgetBroker(brokerId: number): void {
    this.#byBroker.delete(brokerId)
  }

  forgetTopic(topicId: string): void {
    for (const [brokerId, topics] of this.#byBroker) {
      if (topics.delete(topicId) && topics.size === 0) this.#byBroker.delete(brokerId)
    }
  }

  replaceWith(other: FailedReplicas): void {
    this.#byBroker.clear()
    for (const [brokerId, topics] of other.#byBroker) {
      for (const [topicId, partitions] of topics) this.add(brokerId, topicId, partitions)
    }
  }

  *toRecords(): Iterable<RecordOf<'failedReplicas'>> {
    for (const [brokerId, topics] of this.#byBroker) {
      for (const [topicId, partitions] of topics) {
        yield { kind: 'failedReplicas', brokerId, topicId, partitions: [...partitions] }
      }
    }
  }
}
