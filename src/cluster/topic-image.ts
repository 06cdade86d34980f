/** Whether a leader that was elected although it may miss records has taken over (KIP-704). Numbers as on the wire. */
export const LeaderRecoveryState = { RECOVERED: 0, RECOVERING: 1 } as const

/** State of one partition. Never changed in place: a change puts a new object into the topic. */
export type PartitionImage = {
  readonly partitionIndex: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly lastKnownElr: readonly number[]
  /** Replicas that came back with other disks and were not in sync since: the last to be chosen where records are lost. */
  readonly emptied: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
  /** A broker id, or -1 while nobody may lead. */
  readonly leader: number
  /** RECOVERING from an unclean election until its leader asks for another ISR. */
  readonly leaderRecoveryState: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
}

export type TopicImage = {
  readonly name: string
  readonly topicId: string
  /** At its index: the partition of that number. Dense, starting at 0. */
  readonly partitions: PartitionImage[]
}
