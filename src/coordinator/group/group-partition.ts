/** Which partition of an internal topic holds all records of a group or transactional id. */

/** Java's String.hashCode: over UTF-16 units, as a signed 32-bit number. */
export function javaHashCode(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0
  return hash
}

/** @returns a partition index in [0, partitionCount); Kafka's `Utils.abs(hashCode) % partitions` */
export function groupPartition(id: string, partitionCount: number): number {
  return (javaHashCode(id) & 0x7fffffff) % partitionCount
}
