/** State of one partition. Never changed in place: a change puts a new object into the topic. */
export type PartitionImage = {
  readonly partitionIndex: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly lastKnownElr: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
  /** A broker id, or -1 while nobody may lead. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
}

export type TopicImage = {
  readonly name: string
  readonly topicId: string
  /** At its index: the partition of that number. Dense, starting at 0. */
  readonly partitions: PartitionImage[]
}
