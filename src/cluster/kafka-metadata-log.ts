/**
 * What Kafka's own metadata log says of topics and their settings, read from the folder `__cluster_metadata-0` of a
 * stopped controller. Knows four of its records; nothing here writes it.
 */
import { join } from 'node:path'
import type { Io } from '../io/io.ts'
import { openBatch } from '../log/batch-recode.ts'
import { scanBatches } from '../log/batch-scan.ts'
import { Reader } from '../protocol/reader.ts'
import { newRecordPlace, nextRecord, readRecord } from '../protocol/record.ts'
import {
  attributesOf,
  baseOffsetOf,
  isControl,
  lastOffsetOf,
  recordCountOf,
} from '../protocol/record-batch.ts'
import { VarintCursor } from '../protocol/varint.ts'
import { ResourceType } from './metadata-image.ts'

export type KafkaTopics = {
  /** Ids by name. */
  readonly topicIds: ReadonlyMap<string, string>
  /** How many partitions a topic has, by its id: those that other folders hold count, too. */
  readonly partitionCounts: ReadonlyMap<string, number>
  /** The settings of each topic that has any of its own. */
  readonly configs: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Brokers whose settings were changed while they ran; '' stands for all of them. */
  readonly brokersWithConfigs: ReadonlySet<string>
}

/** Numbers of metadata records, and the frame around each (MetadataRecordType). */
const RecordType = { topic: 2, partition: 3, config: 4, removeTopic: 9 } as const
const frameVersion = 1

/**
 * The newest snapshot, then the log behind it.
 *
 * @returns undefined when there is nothing to read, or not all of it can be understood: then nothing is known
 * @throws Node's own disk errors
 */
export async function readKafkaMetadata(io: Io, folder: string): Promise<KafkaTopics | undefined> {
  const names = io.disk.listSync(folder).map(({ name }) => name)
  const snapshot = names
    .filter((name) => /^\d{20}-\d{10}\.checkpoint$/.test(name))
    .sort()
    .at(-1)
  const logs = names.filter((name) => /^\d{20}\.log$/.test(name)).sort()
  if (!snapshot && logs[0] !== `${'0'.repeat(20)}.log`) return undefined
  const state = new KafkaMetadata()
  const startOffset = snapshot ? Number(snapshot.slice(0, 20)) : 0
  try {
    if (snapshot) await applyFile(io, join(folder, snapshot), 0, state)
    for (const name of logs) await applyFile(io, join(folder, name), startOffset, state)
  } catch (error) {
    if (isDiskError(error)) throw error
    return undefined
  }
  return state
}

const isDiskError = (error: unknown): boolean =>
  typeof (error as NodeJS.ErrnoException).syscall === 'string'

async function applyFile(
  io: Io,
  path: string,
  fromOffset: number,
  state: KafkaMetadata,
): Promise<void> {
  const isSnapshot = path.endsWith('.checkpoint')
  const batches: Buffer[] = []
  const file = io.disk.openSync(path, 'read')
  try {
    const steps = scanBatches(file, 0, file.sizeSync(), io.crc32c, (buffer, at, _at, sizeBytes) => {
      const isNew = isSnapshot || baseOffsetOf(buffer, at) >= fromOffset
      const isWanted = isNew && !isControl(attributesOf(buffer, at))
      if (isWanted) batches.push(Buffer.from(buffer.subarray(at, at + sizeBytes)))
      return lastOffsetOf(buffer, at) >= baseOffsetOf(buffer, at)
    })
    for (;;) {
      const { done } = steps.next()
      for (const batch of batches.splice(0)) state.applyBatch(batch, await openBatch(io, batch))
      if (done) return
    }
  } finally {
    file.closeSync()
  }
}

class KafkaMetadata implements KafkaTopics {
  readonly topicIds = new Map<string, string>()
  readonly partitionCounts = new Map<string, number>()
  readonly configs = new Map<string, Map<string, string>>()
  readonly brokersWithConfigs = new Set<string>()

  applyBatch(batch: Buffer, block: Buffer): void {
    const cursor = new VarintCursor(block)
    const place = newRecordPlace()
    for (let left = recordCountOf(batch, 0); left > 0; left--) {
      nextRecord(cursor, place)
      const { value } = readRecord(block, place)
      if (value) this.#apply(new Reader(value))
    }
  }

  #apply(value: Reader): void {
    if (value.uvarint() !== frameVersion) throw new Error('another frame of metadata records')
    const type = value.uvarint()
    value.uvarint() // all versions of these records begin alike
    if (type === RecordType.topic) {
      const name = value.compactString()
      this.topicIds.set(name, value.uuid())
    } else if (type === RecordType.partition) {
      const partitionIndex = value.int32()
      const topicId = value.uuid()
      const known = this.partitionCounts.get(topicId) ?? 0
      this.partitionCounts.set(topicId, Math.max(known, partitionIndex + 1))
    } else if (type === RecordType.removeTopic) {
      this.#removeTopic(value.uuid())
    } else if (type === RecordType.config) {
      const resourceType = value.int8()
      const resourceName = value.compactString()
      const name = value.compactString()
      this.#config(resourceType, resourceName, name, value.compactNullableString())
    }
  }

  #removeTopic(topicId: string): void {
    this.partitionCounts.delete(topicId)
    for (const [name, id] of this.topicIds) {
      if (id !== topicId) continue
      this.topicIds.delete(name)
      this.configs.delete(name)
    }
  }

  #config(type: number, resource: string, name: string, value: string | null): void {
    const isOwn = resource === '' && name === 'min.insync.replicas' // a new cluster's first record
    if (type === ResourceType.BROKER && !isOwn) this.brokersWithConfigs.add(resource)
    if (type !== ResourceType.TOPIC) return
    const configs = this.configs.get(resource) ?? new Map<string, string>()
    if (value === null) configs.delete(name)
    else configs.set(name, value)
    if (configs.size > 0) this.configs.set(resource, configs)
    else this.configs.delete(resource)
  }
}
