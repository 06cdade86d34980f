import { ErrorCode } from '../protocol/error-code.ts'
import { refusalOfEpoch } from './broker-commands.ts'
import type { ConfigRules } from './config-rules.ts'
import type { Decision } from './decision.ts'
import { FailedReplicas } from './failed-replicas.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'
import { PartitionChanges } from './partition-changes.ts'

/** A broker tells which of its replicas lay on a disk that failed. */
export type FailReplicasCommand = {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly topics: readonly { readonly topicId: string; readonly partitions: readonly number[] }[]
}

/**
 * Takes a broker out of the ISRs of the replicas that it cannot serve any more, so that others lead, and keeps it from
 * leading them until it registers anew (KIP-858). It stays eligible (KIP-966) where too few are left: whether it still
 * has everything is for its next registration to say. What the broker has no replica of is left out.
 *
 * @returns STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED or NONE
 */
export function decideFailReplicas(
  image: MetadataImage,
  rules: ConfigRules,
  { brokerId, brokerEpoch, topics }: FailReplicasCommand,
): Decision<ErrorCode> {
  const refusal = refusalOfEpoch(image.brokers.get(brokerId), brokerEpoch)
  if (refusal !== ErrorCode.NONE) return { answer: refusal, records: [], effects: [] }
  const records: MetadataRecord[] = []
  const failed = new FailedReplicas()
  failed.replaceWith(image.failedReplicas)
  let count = 0
  for (const { topicId, partitions } of topics) {
    const news = [...new Set(partitions)].filter((partitionIndex) => {
      const replicas = image.topicById(topicId)?.partitions[partitionIndex]?.replicas ?? []
      return replicas.includes(brokerId) && !failed.has(brokerId, topicId, partitionIndex)
    })
    if (news.length === 0) continue
    count += news.length
    failed.add(brokerId, topicId, news)
    records.push({ kind: 'failedReplicas', brokerId, topicId, partitions: news })
  }
  if (records.length === 0) return { answer: ErrorCode.NONE, records, effects: [] }
  const changes = new PartitionChanges(image, rules, { failed })
  for (const { topicId, partitions } of topics) {
    const topic = image.topicById(topicId)
    if (!topic) continue
    for (const partitionIndex of new Set(partitions)) {
      const partition = topic.partitions[partitionIndex]
      if (!partition || !failed.has(brokerId, topicId, partitionIndex)) continue
      const isr = partition.isr.filter((member) => member !== brokerId)
      changes.change(topic, partitionIndex, { isr })
    }
  }
  const facts = { brokerId, brokerEpoch, replicas: count }
  return {
    answer: ErrorCode.NONE,
    records: [...records, ...changes.records()],
    effects: [{ kind: 'log', facts, message: 'a disk of a broker failed: others take over' }],
  }
}
