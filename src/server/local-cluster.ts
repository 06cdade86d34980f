/**
 * Several brokers of one process that share a metadata log: starts them, stops them, and can end one as the death of its
 * process would.
 */
import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { EmbeddedMetadataStore } from '../cluster/embedded-metadata-store.ts'
import type { MetadataStore } from '../cluster/metadata-store.ts'
import { createMortalStore } from '../cluster/mortal-store.ts'
import type { Io } from '../io/io.ts'
import { createMortalIo } from '../io/mortal-io.ts'
import { storedIdentity } from '../log/meta-properties.ts'

/** A broker that runs; what else it is, only the caller knows. */
type Stoppable = { stop(): Promise<void> }

export type LocalBrokerStart = {
  readonly brokerId: number
  readonly dataDir: string
  readonly port: number
  readonly io: Io
  readonly place: {
    readonly clusterId: string
    readonly isComplete: true
    openStore(): Promise<MetadataStore>
  }
}

export type LocalClusterOptions<Running extends Stoppable> = {
  /** For what belongs to no broker. */
  readonly io: Io
  /** One of its own for each broker's run. */
  readonly createIo: () => Io
  readonly dataDir: string
  readonly brokerIds: readonly number[]
  /** Of a new cluster; undefined: a random one. */
  readonly clusterId: string | undefined
  readonly logger: Logger
  readonly portOf: (brokerId: number) => number
  readonly boundPort: (running: Running) => number
  readonly start: (start: LocalBrokerStart) => Promise<Running>
}

type Member<Running> = { readonly running: Running; die(): Promise<void> }

const METADATA_FOLDER = 'metadata'

export class LocalCluster<Running extends Stoppable> {
  readonly clusterId: string
  readonly #options: LocalClusterOptions<Running>
  readonly #store: EmbeddedMetadataStore
  readonly #lock: { release(): Promise<void> }
  readonly #members = new Map<number, Member<Running>>()
  /** Where a broker was: it comes back there. */
  readonly #ports = new Map<number, number>()
  #stopping: Promise<void> | undefined

  private constructor(
    options: LocalClusterOptions<Running>,
    clusterId: string,
    store: EmbeddedMetadataStore,
    lock: { release(): Promise<void> },
  ) {
    this.#options = options
    this.clusterId = clusterId
    this.#store = store
    this.#lock = lock
  }

  /** @throws LMQ_LOG_DIR_TAKEN, LMQ_STORE_CORRUPT */
  static async open<Running extends Stoppable>(
    options: LocalClusterOptions<Running>,
  ): Promise<LocalCluster<Running>> {
    const { io, dataDir, brokerIds, logger } = options
    io.disk.makeFolderSync(dataDir)
    const lock = await io.disk.lockFolder(dataDir)
    try {
      const folders = brokerIds.map((brokerId) => folderOf(dataDir, brokerId))
      const stored = storedIdentity(io, folders)
      const clusterId = stored?.clusterId ?? options.clusterId ?? io.random.uuid()
      const folder = join(dataDir, METADATA_FOLDER)
      const store = EmbeddedMetadataStore.open({ io, folder, logger })
      return new LocalCluster(options, clusterId, store, lock)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** Those that run, by id. */
  get running(): Running[] {
    return [...this.#members].sort(([a], [b]) => a - b).map(([, { running }]) => running)
  }

  /** All at once: none needs the others to start. */
  async startAll(): Promise<void> {
    const started = this.#options.brokerIds.map((brokerId) => this.startBroker(brokerId))
    await Promise.allSettled(started)
    await Promise.all(started)
  }

  async startBroker(brokerId: number): Promise<Running> {
    const { createIo, dataDir, portOf, boundPort, start } = this.#options
    const known = this.#members.get(brokerId)
    if (known) return known.running
    const mortalIo = createMortalIo(createIo())
    const handle = createMortalStore(this.#store.share())
    const running = await start({
      brokerId,
      dataDir: folderOf(dataDir, brokerId),
      port: this.#ports.get(brokerId) ?? portOf(brokerId),
      io: mortalIo.io,
      place: { clusterId: this.clusterId, isComplete: true, openStore: async () => handle.store },
    })
    this.#ports.set(brokerId, boundPort(running))
    const die = async () => {
      handle.die()
      await mortalIo.die()
    }
    this.#members.set(brokerId, { running, die })
    return running
  }

  async stopBroker(brokerId: number): Promise<void> {
    const member = this.#members.get(brokerId)
    this.#members.delete(brokerId)
    await member?.running.stop()
  }

  async kill(brokerId: number): Promise<void> {
    const member = this.#members.get(brokerId)
    this.#members.delete(brokerId)
    await member?.die()
  }

  async controllerId(): Promise<number> {
    return (await this.#store.head()).controllerId
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async removeData(): Promise<void> {
    await this.#options.io.disk.removeFolder(this.#options.dataDir)
  }

  async #stop(): Promise<void> {
    const { io, logger } = this.#options
    // The controller last: the others need it to leave in order.
    const last = await this.controllerId()
    const order = [...this.#members].sort(([a], [b]) => Number(a === last) - Number(b === last))
    this.#members.clear()
    for (const [brokerId, { running }] of order) {
      try {
        await running.stop()
      } catch (error) {
        logger.warn({ brokerId, error: String(error) }, 'a broker did not stop in order')
      }
    }
    // A killed broker never closed its handle, so that the last one that stops does not close the files.
    await this.#store.close()
    await this.#lock.release()
    await io.jobs.close()
  }
}

const folderOf = (dataDir: string, brokerId: number): string => join(dataDir, `broker-${brokerId}`)
