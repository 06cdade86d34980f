import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Disk, Io } from '../io/io.ts'

export const metaPropertiesFile = 'meta.properties'
const version = '1'

/** Whose log directory this is: `meta.properties` at its root, as KRaft brokers write it. */
export type MetaProperties = { clusterId: string; brokerId: number; directoryId: string }

export function encodeMetaProperties({ clusterId, brokerId, directoryId }: MetaProperties): Buffer {
  const lines = [
    `cluster.id=${clusterId}`,
    `directory.id=${directoryId}`,
    `node.id=${brokerId}`,
    `version=${version}`,
  ]
  return Buffer.from(`#\n${lines.join('\n')}\n`)
}

/** @throws LMQ_LOG_DIR_FOREIGN when it is not KRaft's version 1 or a part is missing */
export function decodeMetaProperties(content: Buffer, path: string): Partial<MetaProperties> {
  const values = new Map<string, string>()
  for (const line of content.toString('utf8').split('\n')) {
    const match = /^\s*([^#!=:\s][^=:\s]*)\s*[=:]\s*(.*?)\s*$/.exec(line)
    if (match) values.set(match[1] as string, (match[2] as string).replaceAll('\\', ''))
  }
  const clusterId = values.get('cluster.id')
  const nodeId = values.get('node.id') ?? values.get('broker.id')
  const directoryId = values.get('directory.id')
  if (values.get('version') !== version || clusterId === undefined || nodeId === undefined) {
    throw new LmqError('LMQ_LOG_DIR_FOREIGN', {
      path,
      reason: 'not a meta.properties of version 1',
    })
  }
  return { clusterId, brokerId: Number(nodeId), ...(directoryId !== undefined && { directoryId }) }
}

/**
 * What the data folders say before anything is opened: the broker takes up this identity again.
 *
 * @returns undefined when all folders are new
 * @throws LMQ_LOG_DIR_FOREIGN
 */
export function storedIdentity(
  io: Pick<Io, 'disk'>,
  dirs: readonly string[],
): { clusterId: string; brokerId: number } | undefined {
  for (const dir of dirs) {
    const path = join(dir, metaPropertiesFile)
    if (!io.disk.existsSync(path)) continue
    const { clusterId, brokerId } = decodeMetaProperties(io.disk.readFileSync(path), path)
    if (clusterId !== undefined && brokerId !== undefined) return { clusterId, brokerId }
  }
  return undefined
}

/** What a new data folder may hold: the system's own, a lock, a first start that did not get far. */
const harmless = /^(lost\+found|\.DS_Store|\.lmq\.lock(\..+)?|meta\.properties\.tmp|lmq-metadata)$/

/** Somebody's home, or a broker's folder that lost its identity: neither becomes a data folder by a mistyped path. */
function checkIsNew(disk: Disk, dir: string): void {
  const others = disk.listSync(dir).filter(({ name }) => !harmless.test(name))
  if (others.length === 0) return
  const holds = others
    .map(({ name }) => name)
    .sort()
    .slice(0, 5)
  const reason = 'it has no meta.properties, so it is no data folder, and it is not empty'
  throw new LmqError('LMQ_LOG_DIR_FOREIGN', { dir, reason, holds })
}

/** A start would recover and change the logs of a Kafka that may be wanted back. */
function checkIsNotKafkas(disk: Disk, dir: string): void {
  if (!disk.existsSync(join(dir, '__cluster_metadata-0'))) return
  const reason =
    'it is a log folder of Kafka: take its topics into another folder with `lmq import`'
  throw new LmqError('LMQ_LOG_DIR_FOREIGN', { dir, reason })
}

/**
 * Checks a folder's identity, or gives a new folder one.
 *
 * @throws LMQ_LOG_DIR_FOREIGN when it belongs to another cluster or broker, or is none and not empty
 */
export function claimDirectory(
  io: Pick<Io, 'disk' | 'random'>,
  dir: string,
  owner: { clusterId: string; brokerId: number },
): MetaProperties {
  const path = join(dir, metaPropertiesFile)
  const stored = io.disk.existsSync(path)
    ? decodeMetaProperties(io.disk.readFileSync(path), path)
    : undefined
  if (!stored) checkIsNew(io.disk, dir)
  else checkIsNotKafkas(io.disk, dir)
  if (stored && (stored.clusterId !== owner.clusterId || stored.brokerId !== owner.brokerId)) {
    throw new LmqError('LMQ_LOG_DIR_FOREIGN', {
      dir,
      stored: { clusterId: stored.clusterId, brokerId: stored.brokerId },
      // Only these two: the caller's object may hold all settings, secrets among them.
      expected: { clusterId: owner.clusterId, brokerId: owner.brokerId },
    })
  }
  const properties = { ...owner, directoryId: stored?.directoryId ?? io.random.uuid() }
  if (!stored?.directoryId) io.disk.replaceFileSync(path, encodeMetaProperties(properties))
  return properties
}
