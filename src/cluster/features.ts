/**
 * Feature levels that a new cluster finalizes. They tell clients what all brokers can do (ApiVersions), and brokers
 * which records they may write. The levels of transactions and of the newer group protocols rise with what is served:
 * a client that sees one uses it.
 */
export const initialFeatures: ReadonlyMap<string, number> = new Map([
  // 30 is Kafka 4.3.
  ['metadata.version', 30],
])
