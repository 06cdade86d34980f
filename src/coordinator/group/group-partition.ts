/** Which partition of an internal topic holds all records of a group or transactional id. */

/** Java's String.hashCode: over UTF-16 units, as a signed 32-bit number. */
export function javaHashCode(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0
  return hash
}

/**
 * Kafka's `Utils.abs(hashCode) % partitions`: the magnitude, with 0 for the one number that has no positive twin.
 * (Masking the sign bit off instead, as is sometimes told, gives other partitions for half of all ids.)
 *
 * @returns a partition index in [0, partitionCount)
 */
export function groupPartition(id: string, partitionCount: number): number {
  const hash = javaHashCode(id)
  return (hash === -0x80000000 ? 0 : Math.abs(hash)) % partitionCount
}
