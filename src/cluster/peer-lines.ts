/**
 * One connection to each broker that takes part, for the sake of its end: a process that dies closes it at once. A broker
 * that shares no partition with the dead one would learn of its death from the metadata only, and would until then send
 * its clients there.
 */
import type { Connection } from '../client/connection.ts'
import type { Io } from '../io/io.ts'
import type { MetadataImage } from './metadata-image.ts'

export type PeerLinesOptions = {
  readonly io: Pick<Io, 'timers'>
  readonly brokerId: number
  readonly image: MetadataImage
  /** Opens a connection, which closes with the peers. Whoever opens it there hears of its end. */
  connect(brokerId: number): Promise<Pick<Connection, 'onClosed'>>
}

const RETRY_MS = 500

export class PeerLines {
  readonly #options: PeerLinesOptions
  /** By broker: a line that is open or being opened, or was lost a moment ago. */
  readonly #known = new Set<number>()
  #closed = false

  constructor(options: PeerLinesOptions) {
    this.#options = options
  }

  /** The metadata changed, or this broker has begun to take part. */
  noteImage(): void {
    if (this.#closed) return
    const { image, brokerId: own } = this.#options
    for (const { brokerId } of image.liveBrokers()) {
      if (brokerId === own || this.#known.has(brokerId)) continue
      this.#known.add(brokerId)
      void this.#open(brokerId)
    }
  }

  close(): void {
    this.#closed = true
  }

  async #open(brokerId: number): Promise<void> {
    try {
      const connection = await this.#options.connect(brokerId)
      connection.onClosed(() => this.#later(brokerId))
    } catch {
      // It is gone, or not there yet: others say so.
      this.#later(brokerId)
    }
  }

  #later(brokerId: number): void {
    if (this.#closed) return
    this.#options.io.timers.schedule(RETRY_MS, () => {
      this.#known.delete(brokerId)
      this.noteImage()
    })
  }
}
