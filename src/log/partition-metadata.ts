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
