/**
 * Whether what this broker knows of the cluster is what the others know: asked by a process that stood still, and before
 * an answer of the controller is passed on.
 */
import { LmqError } from '../base/errors.ts'
import type { MetadataStore } from '../cluster/metadata-store.ts'
import type { MetadataTail } from '../cluster/metadata-tail.ts'
import type { Io } from '../io/io.ts'

export type ConfirmationOptions = {
  readonly io: Pick<Io, 'timers'>
  readonly store: Pick<MetadataStore, 'head'>
  readonly tail: Pick<MetadataTail, 'image' | 'applied'>
  /** Asks the controller. @returns whether it counts this broker as fenced @throws LmqError */
  readonly ask: () => Promise<boolean | undefined>
  readonly isClosed: () => boolean
}

/** How long one attempt waits for the metadata. */
export const CATCH_UP_MS = 5_000
const RETRY_MS = 50

/**
 * Waits until this broker's metadata is where the store's was when this began.
 *
 * @returns false: it is still behind after `CATCH_UP_MS`
 * @throws LmqError when the store does not answer
 */
export async function catchUp({
  io,
  store,
  tail,
}: Pick<ConfirmationOptions, 'io' | 'store' | 'tail'>): Promise<boolean> {
  const { index } = await store.head()
  if (tail.image.index >= index) return true
  return new Promise<boolean>((resolve, reject) => {
    const timer = io.timers.schedule(CATCH_UP_MS, () => resolve(false))
    tail.applied(index).then(
      () => {
        timer.cancel()
        resolve(true)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}

/** Until the controller has answered again and this broker knows what it decided meanwhile; or the broker is closed. */
export async function confirm(options: ConfirmationOptions): Promise<void> {
  const { io, ask, isClosed } = options
  while (!isClosed()) {
    try {
      const isFenced = await ask()
      const isThere = await catchUp(options).catch((error: unknown) => {
        // A store that is away decides nothing either; but a broker that was fenced must see what others took over.
        if (isFenced !== false) throw error
        return true
      })
      if (isThere) return
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      await new Promise<void>((resolve) => io.timers.schedule(RETRY_MS, resolve))
    }
  }
}
