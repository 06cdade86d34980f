/** `partition.metadata`: the topic id of the partition whose folder this is, as Kafka writes it. */
export function encodePartitionMetadata(topicId: string): Buffer {
  return Buffer.from(`version: 0\ntopic_id: ${topicId}\n`)
}

/** @returns undefined when the file is damaged: the id is then taken on trust */
export function decodePartitionMetadata(content: Buffer): string | undefined {
  return /^version: 0\r?\ntopic_id: ([A-Za-z0-9_-]{22})\r?\n?$/.exec(
    content.toString('latin1'),
  )?.[1]
}

/**
 * Ids are chosen at random: two that differ in a single bit of their text are one id of which a bit was flipped on the
 * disk, and no reason to take the records for another topic's.
 */
export function isSameTopicId(stored: string, topicId: string): boolean {
  let differentBits = 0
  for (let at = 0; at < topicId.length; at++) {
    let bits = stored.charCodeAt(at) ^ topicId.charCodeAt(at)
    for (; bits > 0; bits &= bits - 1) differentBits++
  }
  return stored.length === topicId.length && differentBits <= 1
}
