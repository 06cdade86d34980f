import type { Logger } from '../base/logger.ts'
import { diffImages } from './image-diff.ts'
import { MetadataDelta } from './metadata-delta.ts'
import { MetadataImage } from './metadata-image.ts'
import { decodeRecords } from './metadata-records.ts'
import type { MetadataStore, StoreRead, Watch } from './metadata-store.ts'

/** Told in the same turn in which the image changed, in the order of their registration. Must not throw. */
export type DeltaListener = (delta: MetadataDelta, image: MetadataImage) => void

const READ_BYTES = 8 * 1024 * 1024

/**
 * Follows the metadata log: reads what is new, applies it to this broker's image and tells whoever reacts. On every
 * broker, the controller's included, this is the only way in which the image changes.
 */
export class MetadataTail {
  readonly image = new MetadataImage()
  readonly #store: MetadataStore
  readonly #logger: Logger
  readonly #onFailure: (error: unknown) => void
  readonly #listeners: DeltaListener[] = []
  #waiters: { index: number; resolve: () => void; reject: (error: unknown) => void }[] = []
  #watch: Watch | undefined
  #reading: Promise<void> | undefined
  #isStale = false
  #failure: unknown

  /** @param onFailure the log cannot be read or understood: this broker must not go on */
  constructor(store: MetadataStore, logger: Logger, onFailure: (error: unknown) => void) {
    this.#store = store
    this.#logger = logger
    this.#onFailure = onFailure
  }

  /** Applies all that is in the log, without telling anybody, then follows it. Register listeners after this. */
  async start(): Promise<void> {
    for (;;) {
      const before = this.image.index
      this.#apply(await this.#store.read(before + 1, READ_BYTES), new MetadataDelta())
      if (this.image.index === before) break
    }
    this.#logger.debug({ index: this.image.index }, 'metadata loaded')
    this.#watch = this.#store.watch(() => this.#wake())
    this.#wake()
  }

  onDelta(listener: DeltaListener): void {
    this.#listeners.push(listener)
  }

  /** Resolves when the entry at `index` is applied here and everybody was told. */
  applied(index: number): Promise<void> {
    if (this.image.index >= index) return Promise.resolve()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiters.push({ index, resolve, reject })
      this.#wake()
    })
  }

  async close(): Promise<void> {
    this.#watch?.stop()
    this.#isStale = false
    await this.#reading
  }

  #wake(): void {
    this.#isStale = true
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined
      if (this.#isStale && this.#failure === undefined) this.#wake()
    })
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#isStale) {
        this.#isStale = false
        const before = this.image.index
        const delta = new MetadataDelta()
        this.#apply(await this.#store.read(before + 1, READ_BYTES), delta)
        if (this.image.index === before) continue
        this.#isStale = true
        for (const listener of this.#listeners) listener(delta, this.image)
        this.#tellWaiters()
      }
    } catch (error) {
      this.#failure = error
      for (const { reject } of this.#waiters.splice(0)) reject(error)
      this.#onFailure(error)
    }
  }

  #apply({ snapshot, entries }: StoreRead, delta: MetadataDelta): void {
    if (snapshot && snapshot.index > this.image.index) {
      const next = new MetadataImage()
      next.applyEntry(snapshot.index, decodeRecords(snapshot.payload), new MetadataDelta())
      diffImages(this.image, next, delta)
      this.image.replaceWith(next)
    }
    for (const { index, payload } of entries) {
      if (index > this.image.index) this.image.applyEntry(index, decodeRecords(payload), delta)
    }
  }

  #tellWaiters(): void {
    const { index } = this.image
    const told = this.#waiters.filter((waiter) => waiter.index <= index)
    if (told.length === 0) return
    this.#waiters = this.#waiters.filter((waiter) => waiter.index > index)
    for (const { resolve } of told) resolve()
  }
}
