import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import { EmbeddedMetadataStore } from './embedded-metadata-store.ts'
import type { MetadataImage } from './metadata-image.ts'
import { encodeRecords, type MetadataRecord } from './metadata-records.ts'
import { METADATA_FOLDER } from './metadata-store.ts'
import { MetadataTail } from './metadata-tail.ts'

/** A broker's data folder while no broker has it: locked, with its metadata log open. */
export class ImportTarget {
  readonly dir: string
  readonly brokerId: number
  readonly #io: Io
  readonly #lock: { release(): Promise<void> }
  readonly #store: EmbeddedMetadataStore
  readonly #tail: MetadataTail

  private constructor(
    io: Io,
    dir: string,
    brokerId: number,
    lock: { release(): Promise<void> },
    store: EmbeddedMetadataStore,
    tail: MetadataTail,
  ) {
    this.#io = io
    this.dir = dir
    this.brokerId = brokerId
    this.#lock = lock
    this.#store = store
    this.#tail = tail
  }

  /** @throws LMQ_LOG_DIR_TAKEN, LMQ_STORE_CORRUPT, LMQ_STORE_TOO_NEW, Node's own disk errors */
  static async open(io: Io, dir: string, brokerId: number, logger: Logger): Promise<ImportTarget> {
    const lock = await io.disk.lockFolder(dir)
    let store: EmbeddedMetadataStore | undefined
    try {
      store = EmbeddedMetadataStore.open({ io, folder: join(dir, METADATA_FOLDER), logger })
      const tail = new MetadataTail(store, logger, () => {})
      await tail.start()
      return new ImportTarget(io, dir, brokerId, lock, store, tail)
    } catch (error) {
      await store?.close()
      await lock.release()
      throw error
    }
  }

  /** As of the last `append`. */
  get image(): MetadataImage {
    return this.#tail.image
  }

  /** All of the records or none. Resolves when they are on the disk. @throws LMQ_DISK_WRITE, LMQ_DISK_FLUSH */
  async append(records: readonly MetadataRecord[]): Promise<void> {
    if (records.length === 0) return
    const candidate = { brokerId: this.brokerId, incarnationId: this.#io.random.uuid() }
    const leadership = await this.#store.lead(candidate)
    if (!leadership) throw new LmqError('LMQ_NOT_CONTROLLER', {})
    try {
      const { index } = await this.#store.head()
      const appended = await this.#store.append(leadership, index, encodeRecords(records))
      await this.#tail.applied(appended)
    } finally {
      await leadership.release()
    }
  }

  async close(): Promise<void> {
    await this.#tail.close()
    await this.#store.close()
    await this.#lock.release()
  }
}
