/** One broker's metadata and partitions over real files, without a server around them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { configRulesOf } from '../../../src/cluster/config-rules.ts'
import { Controller } from '../../../src/cluster/controller.ts'
import { EmbeddedMetadataStore } from '../../../src/cluster/embedded-metadata-store.ts'
import { MetadataTail } from '../../../src/cluster/metadata-tail.ts'
import { Partitions } from '../../../src/cluster/partitions.ts'
import { BrokerSettings } from '../../../src/config/broker-settings.ts'
import type { Io } from '../../../src/io/io.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { LogDirs } from '../../../src/log/log-dirs.ts'
import { registration } from './machine-fixture.ts'

export const io = createNodeIo()

export async function tempFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lmq-cluster-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export type OpenCluster = Awaited<ReturnType<typeof openCluster>>

/** Opens what lies in `folder` as a broker does: logs, metadata, controller, registration, partitions. */
export async function openCluster(
  folder: string,
  {
    through = io,
    texts = {} as Record<string, string>,
  }: { through?: Io; texts?: Record<string, string> } = {},
) {
  const settings = new BrokerSettings(new Map(Object.entries(texts)))
  const { config } = settings
  const logger = silentLogger
  const logDirs = await LogDirs.open(io, {
    dirs: [folder],
    clusterId: 'cluster',
    brokerId: 1,
    logger,
    settings: config,
  })
  const store = EmbeddedMetadataStore.open({
    io: through,
    folder: join(folder, 'metadata'),
    logger,
  })
  const failures: unknown[] = []
  const tail = new MetadataTail(store, logger, (error) => failures.push(error))
  const candidate = { brokerId: 1, incarnationId: io.random.uuid() }
  const rules = configRulesOf(config)
  const controller = new Controller({ io, store, tail, candidate, rules, logger })
  await tail.start()
  await controller.start()
  await controller.bootstrap('cluster', new Map())
  const answer = await controller.registerBroker(registration(1))
  const { image } = tail
  const partitions = new Partitions({ io, brokerId: 1, image, logDirs, config, logger })
  tail.onDelta((delta) => partitions.apply(delta))
  partitions.start()
  return {
    settings,
    logDirs,
    store,
    tail,
    image,
    controller,
    partitions,
    failures,
    brokerEpoch: answer.brokerEpoch,
    async close() {
      await controller.close()
      await tail.close()
      partitions.close()
      await logDirs.close()
      await store.close()
    },
  }
}
