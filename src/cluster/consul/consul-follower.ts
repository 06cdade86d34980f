import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { MetadataMirror } from '../metadata-mirror.ts'
import {
  ConsulKeys,
  type EntryMeta,
  emptyHead,
  entriesPerBucket,
  type Head,
  type SnapshotMeta,
} from './consul-keys.ts'
import type { ConsulLog } from './consul-log.ts'

export type ConsulFollowerOptions = {
  readonly log: ConsulLog
  readonly mirror: MetadataMirror
  readonly logger: Logger
  /** Entries came, or another leader. */
  readonly onNews: () => void
  /** What is in Consul is not the log that this broker knows. */
  readonly onDiverged: (why: string) => void
}

/** With this many entries to catch up with, a snapshot is read instead. */
const FEW_ENTRIES = entriesPerBucket
/** Rounds of reading without getting further, before it is given up. */
const MOST_ROUNDS = 10

/**
 * Brings this broker's copy of the metadata log up to a head that was read from Consul, and judges that head first:
 * every entry carries the digest of the one before, so a Consul that was emptied, or restored from an older copy and
 * written on, is told from one that is ahead. From such a one nothing is taken.
 */
export class ConsulFollower {
  readonly #log: ConsulLog
  readonly #mirror: MetadataMirror
  readonly #logger: Logger
  readonly #onNews: () => void
  readonly #onDiverged: (why: string) => void
  #work: Promise<unknown> = Promise.resolve()
  /** Has not begun to read, so that it is new enough for whoever asks until then. */
  #planned: Promise<Head> | undefined
  #seenEpoch: number
  #diverged: string | undefined

  constructor({ log, mirror, logger, onNews, onDiverged }: ConsulFollowerOptions) {
    this.#log = log
    this.#mirror = mirror
    this.#logger = logger
    this.#onNews = onNews
    this.#onDiverged = onDiverged
    this.#seenEpoch = mirror.controllerEpoch
  }

  /** The highest controller epoch that this broker knows of. */
  get seenEpoch(): number {
    return this.#seenEpoch
  }

  /** Why nothing is taken from Consul now; undefined when all is well. */
  get diverged(): string | undefined {
    return this.#diverged
  }

  /**
   * Resolves when this broker has what the head names, or refuses it.
   *
   * @param head undefined: the one that is there
   * @returns the head that was taken; look at `diverged`, too
   * @throws ConsulFailure, LMQ_STORE_CORRUPT
   */
  follow(head?: Head): Promise<Head> {
    if (!head && this.#planned) return this.#planned
    const followed = this.#work.then(() => {
      if (this.#planned === followed) this.#planned = undefined
      return this.#follow(head)
    })
    this.#work = followed.catch(() => {})
    if (!head) this.#planned = followed
    return followed
  }

  /** Takes in what this broker has committed itself, within this turn. */
  take(head: Head, payload: Buffer): void {
    this.#seenEpoch = Math.max(this.#seenEpoch, head.controllerEpoch)
    const { index, entry } = head
    if (entry && index === this.#mirror.lastIndex + 1) this.#takeEntry(entry, payload)
    this.#onNews()
  }

  async #follow(given: Head | undefined): Promise<Head> {
    const head = await this.#judge(given)
    if (!head) return given ?? emptyHead
    const before = this.#mirror.lastIndex
    const led = head.controllerEpoch > this.#seenEpoch
    try {
      await this.#catchUp(head)
    } catch (error) {
      if (!(error instanceof Divergence)) throw error
      this.#diverge(error.message)
      return head
    } finally {
      this.#seenEpoch = Math.max(this.#seenEpoch, head.controllerEpoch)
      if (led || this.#mirror.lastIndex > before) this.#onNews()
    }
    this.#converge()
    await this.#takeNewestSnapshot(head)
    return head
  }

  /** @returns a head that continues what is known here; undefined when the one in Consul does not */
  async #judge(given: Head | undefined): Promise<Head | undefined> {
    for (let head = given; ; head = undefined) {
      const { lastIndex } = this.#mirror
      const epoch = this.#seenEpoch
      const judged = head ?? (await this.#log.readHead())
      const why = this.#whyNot(judged)
      if (why === undefined) return judged
      // A head that was read some time ago proves nothing, nor one that was overtaken while it was read.
      const isOfNow =
        head === undefined && this.#mirror.lastIndex === lastIndex && this.#seenEpoch === epoch
      if (!isOfNow) continue
      this.#diverge(why)
      return undefined
    }
  }

  #whyNot(head: Head): string | undefined {
    const { lastIndex, lastDigest } = this.#mirror
    const isNew = lastIndex < 0 && this.#seenEpoch === 0
    if (head.modifyIndex === 0) return isNew ? undefined : 'the metadata store is empty'
    if (head.index < lastIndex) {
      return `the metadata store ends at entry ${head.index}, this broker has ${lastIndex}`
    }
    if (head.controllerEpoch < this.#seenEpoch) {
      return `the metadata store is of controller epoch ${head.controllerEpoch}, this broker has seen ${this.#seenEpoch}`
    }
    const isOther =
      (head.index === lastIndex && head.digest !== lastDigest) ||
      head.snapshots.some(({ index, digest }) => {
        const known = this.#mirror.digestAt(index)
        return known !== undefined && known !== digest
      })
    return isOther ? 'the metadata store holds another log than the one of this broker' : undefined
  }

  async #catchUp(target: Head): Promise<void> {
    let head = target
    for (let rounds = 0; this.#mirror.lastIndex < target.index; rounds++) {
      const before = this.#mirror.lastIndex
      if (rounds > MOST_ROUNDS) {
        throw new Divergence(`entry ${before + 1} is missing in the metadata store`)
      }
      if (this.#isFarBehind(head)) await this.#takeNewestSnapshot(head)
      else await this.#takeEntries(head)
      if (this.#mirror.lastIndex > before) rounds = 0
      // A key was gone: a snapshot took its place meanwhile.
      else head = await this.#log.readHead()
    }
  }

  #isFarBehind({ snapshots }: Head): boolean {
    const { lastIndex } = this.#mirror
    const newest = snapshots.at(-1)
    if (!newest || newest.index <= lastIndex) return false
    const oldest = snapshots.length > 1 ? (snapshots[0] as SnapshotMeta).index : -1
    return lastIndex < 0 || lastIndex < oldest || newest.index - lastIndex > FEW_ENTRIES
  }

  async #takeEntries(head: Head): Promise<void> {
    const next = this.#mirror.lastIndex + 1
    if (next === head.index && head.entry && head.inline) {
      const payload = await this.#log.readEntry(head.entry, head.inline)
      if (payload) this.#takeEntry(head.entry, payload)
      return
    }
    const bucketEnd = (ConsulKeys.bucketOf(next) + 1) * entriesPerBucket - 1
    const found = await this.#log.readEntries(next, Math.min(head.index, bucketEnd))
    for (const { meta, payload } of found) this.#takeEntry(meta, payload)
  }

  /** The same entry may come twice: by a reading, and by this broker's own append meanwhile. */
  #takeEntry(meta: EntryMeta, payload: Buffer): void {
    const mirror = this.#mirror
    const { index, controllerEpoch, previousDigest, digest } = meta
    if (index <= mirror.lastIndex) return
    const entry = { index, controllerEpoch, payload }
    if (index !== mirror.lastIndex + 1 || previousDigest !== mirror.lastDigest) {
      throw new Divergence(`entry ${index} of the metadata store does not continue this broker's`)
    }
    if (mirror.digestOf(entry) !== digest) throw new LmqError('LMQ_STORE_CORRUPT', { index })
    mirror.append(entry)
  }

  async #takeNewestSnapshot({ snapshots }: Head): Promise<void> {
    const newest = snapshots.at(-1)
    if (!newest || newest.index <= (this.#mirror.snapshot?.index ?? -1)) return
    const payload = await this.#log.readSnapshot(newest)
    if (payload) this.takeSnapshot(newest, payload)
  }

  takeSnapshot({ index, controllerEpoch, digest }: SnapshotMeta, payload: Buffer): void {
    const known = this.#mirror.digestAt(index)
    if (known !== undefined && known !== digest) return
    this.#mirror.takeSnapshot({ index, payload }, controllerEpoch, digest)
  }

  #diverge(why: string): void {
    const isNews = this.#diverged === undefined
    this.#diverged = why
    // Said once: the other log may go on growing.
    if (!isNews) return
    const facts = { why, lastIndex: this.#mirror.lastIndex, controllerEpoch: this.#seenEpoch }
    this.#logger.error(
      facts,
      'the metadata store is not the one that this broker knows: it takes no metadata and goes on serving with what it has; bring the newer store back, or run lmq cluster recover --from-broker',
    )
    this.#onDiverged(why)
  }

  #converge(): void {
    if (this.#diverged === undefined) return
    this.#diverged = undefined
    const facts = { lastIndex: this.#mirror.lastIndex }
    this.#logger.info(facts, 'the metadata store continues what this broker knows again')
  }
}

/** What is in Consul does not continue what is here. */
class Divergence extends Error {}
