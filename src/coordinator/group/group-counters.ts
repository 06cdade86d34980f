/** What a metrics page reads: plain numbers that only ever grow, one object per coordinator. */
export class GroupCounters {
  /** Offsets written for OffsetCommit. */
  offsetCommits = 0
  offsetDeletions = 0
  offsetExpirations = 0
  completedRebalances = 0
  groupDeletions = 0
  partitionsLoaded = 0
  recordsLoaded = 0
  loadFailures = 0
  /** Milliseconds that the latest load of a partition took. */
  latestLoadMs = 0
}
