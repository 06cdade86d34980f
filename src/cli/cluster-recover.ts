/** `lmq cluster recover`: gives Consul back what a stopped broker knows, after it was emptied or set back. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { ConsulConnection } from '../cluster/consul/consul-connection.ts'
import type { CopyComparison } from '../cluster/consul/consul-recovery.ts'
import { METADATA_FOLDER } from '../cluster/metadata-store.ts'
import { loadStartOptions } from '../config/start-options.ts'
import type { Io } from '../io/io.ts'
import { nodeHost } from '../io/node-host.ts'
import { createNodeIo } from '../io/node-io.ts'
import { storedIdentity } from '../log/meta-properties.ts'
import { UsageError } from './error-sentence.ts'
import { exitCodes } from './exit-codes.ts'
import { Output } from './output.ts'
import { defaultDataDir } from './start.ts'
import { settingsOf } from './start-flags.ts'
import { createTextLogger } from './text-logger.ts'

export type RecoverFlags = {
  readonly data?: string
  readonly config?: string
  readonly set?: readonly string[]
  readonly fromBroker?: boolean
  readonly force?: boolean
  readonly json?: boolean
}

const texts: Readonly<Record<CopyComparison['copyIs'], string>> = {
  same: 'Consul has exactly this: there is nothing to recover',
  behind: 'Consul has all of it and more: the broker catches up by itself when it starts',
  ahead: 'Consul lacks changes that this broker has',
  apart: 'Consul has other changes than this broker, or was emptied and filled anew',
}

/** @throws {UsageError} when folder or settings are not of a broker with Consul; LMQ_LOG_DIR_TAKEN while it runs */
export async function recoverCluster(flags: RecoverFlags): Promise<void> {
  const { config, dataDirs } = loadStartOptions(
    {
      dataDir: flags.data,
      configFile: flags.config,
      settings: settingsOf([...(flags.set ?? [])]),
      env: process.env,
      defaultDataDir: defaultDataDir(),
    },
    (path) => nodeHost.readSettingsFile(path),
  )
  if (config['lmq.consul.address'].length === 0) {
    throw new UsageError('say where Consul is: --set lmq.consul.address=host:port')
  }
  const dir = nodeHost.absolutePath(dataDirs[0] ?? '')
  const folder = join(dir, METADATA_FOLDER)
  const io = createNodeIo()
  const identity = storedIdentity(io, [dir])
  if (!identity || !existsSync(folder)) {
    throw new UsageError(`${dir} holds no broker's metadata: name its data folder with --data`)
  }
  const write = (line: string): void => void process.stderr.write(line)
  const logger = createTextLogger(write, 'warn', () => new Date())
  const lock = await io.disk.lockFolder(dir)
  let connection: ConsulConnection | undefined
  try {
    connection = await ConsulConnection.open({ io, config, logger })
    await recover(connection, { ...identity, folder }, flags)
  } finally {
    await connection?.close()
    await lock.release()
    await closeJobs(io, logger)
  }
}

type Place = { readonly clusterId: string; readonly brokerId: number; readonly folder: string }

async function recover(
  connection: ConsulConnection,
  { clusterId, brokerId, folder }: Place,
  flags: RecoverFlags,
): Promise<void> {
  const output = new Output(flags.json === true)
  const found = await connection.compare(clusterId, folder)
  const { copy, consul, copyIs } = found
  const told = `broker ${brokerId} of cluster ${clusterId} knows ${changes(copy.index)}, Consul ${changes(consul.index)}\n${texts[copyIs]}`
  if (!flags.fromBroker || copyIs === 'same') {
    const advice = copyIs === 'ahead' || copyIs === 'apart' ? `\n${whatToDo}` : ''
    output.done({ clusterId, brokerId, ...found, recovered: false }, `${told}${advice}`)
    return
  }
  const loses = copyIs === 'behind' || (copyIs === 'apart' && consul.index > copy.index)
  if (loses && !flags.force) {
    output.note(told)
    process.exitCode = exitCodes.failed
    output.note('Nothing was changed. Say --force, too, if what is in Consul is to be lost.')
    return
  }
  const { index, controllerEpoch } = await connection.recover(clusterId, folder)
  // A broker with a new folder asks there which cluster is its own.
  const usual = await connection.agreeClusterId(clusterId)
  const other =
    usual === clusterId
      ? ''
      : `\nBrokers that are not told a cluster join ${usual}: give new ones lmq.cluster.id=${clusterId}`
  output.done(
    { clusterId, brokerId, ...found, recovered: true, index, controllerEpoch },
    `${told}\nConsul has ${changes(index)} of this broker now; brokers that run go on by themselves${other}`,
  )
}

const whatToDo =
  'Look at the other brokers, too, each while it is stopped; then run this with --from-broker for the one that knows most.'

const changes = (index: number): string => (index < 0 ? 'nothing' : `${index + 1} changes`)

async function closeJobs(io: Io, logger: Logger): Promise<void> {
  try {
    await io.jobs.close()
  } catch (error) {
    logger.warn({ error: String(error) }, 'a job could not be ended')
  }
}
