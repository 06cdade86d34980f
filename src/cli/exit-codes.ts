/** What the program's exit code says. Also in `lmq --help`. */
export const exitCodes = {
  done: 0,
  /** The cluster refused, or the work failed half way. */
  failed: 1,
  /** Wrong arguments or settings: trying again as it stands is of no use. */
  usage: 2,
  /** No broker answered, or the port or the data folder is taken. */
  unavailable: 3,
} as const
