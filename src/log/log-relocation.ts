import { assert } from '../base/assert.ts'
import { LmqError } from '../base/errors.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { LogAppender } from './log-appender.ts'
import type { LogCore } from './log-core.ts'
import { readLogFolder } from './log-folder.ts'
import type { LogHome } from './log-shared.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'

export type NewPlace = {
  readonly home: LogHome
  /** Where the log shall live from now on. */
  readonly folder: string
  /**
   * Brings over what is not in the copy yet; all is at rest and durable here.
   *
   * @returns false: the log stays where it is
   */
  finishCopy(): Promise<boolean>
  /** Gives the copy the name of `folder`. In the turn in which the log moves. @throws Node's own disk errors */
  enter(): void
  /** Takes the old folder away. In the same turn. */
  leave(): void
}

/** Lets a log that is in use go on in another folder, which holds the same. Appends wait meanwhile; reads do not. */
export class LogRelocation {
  readonly #core: LogCore
  readonly #appender: LogAppender

  constructor(core: LogCore, appender: LogAppender) {
    this.#core = core
    this.#appender = appender
  }

  /** @returns whether the log moved. @throws LMQ_LOG_DIR_OFFLINE, Node's own disk errors of the new place */
  moveTo(place: NewPlace): Promise<boolean> {
    this.#core.open()
    const work = (this.#appender.gate ?? Promise.resolve()).then(() => this.#moveNow(place))
    this.#appender.holdAppends(work)
    return work
  }

  async #moveNow(place: NewPlace): Promise<boolean> {
    const core = this.#core
    core.assertOnline()
    await this.#rest()
    if (!(await place.finishCopy())) return false
    core.assertOnline()
    this.#switch(place)
    return true
  }

  /** Everything appended is in the files, with all that an orderly start reads, and durable. */
  async #rest(): Promise<void> {
    const core = this.#core
    const failed = () => new LmqError('LMQ_LOG_DIR_OFFLINE', { folder: core.home.path })
    await new Promise<void>((resolve, reject) =>
      core.whenWritten(core.logEndOffset, (errorCode) =>
        errorCode === ErrorCode.NONE ? resolve() : reject(failed()),
      ),
    )
    if (!core.hasFolder) return
    core.snapshots.write(core.logEndOffset, core.producers.producers)
    // The indexes of the active segment go to their files as at a stop.
    core.flusher.isClosing = true
    await core.flusher.flushAll()
    core.flusher.isClosing = false
    core.assertOnline()
  }

  /** One turn: before it all is in the old folder, after it all is in the new one. */
  #switch({ home, folder, enter, leave }: NewPlace): void {
    const core = this.#core
    const { disk, crc32c, io } = core.shared
    const snapshots = new ProducerSnapshots(disk, folder, crc32c, home.logger)
    if (!core.hasFolder) {
      leave()
      core.settleIn(home, folder, snapshots)
      return
    }
    enter()
    const found = readLogFolder(core.shared, folder, io.brokerClock.nowMs())
    snapshots.load(found.snapshotOffsets)
    const active = found.segments.at(-1)
    for (const segment of found.segments) {
      const old = core.segments.floor(segment.baseOffset)
      const isSame = old?.baseOffset === segment.baseOffset && old.sizeBytes === segment.sizeBytes
      assert(isSame, `the copy of ${core.name} differs in the segment at ${segment.baseOffset}`)
      segment.offsetIndex.setActive(segment === active)
      segment.timeIndex.setActive(segment === active)
    }
    assert(found.segments.length === core.segments.all.length, `${core.name} lacks segments`)
    leave()
    const before = core.segments.all
    core.segments.set(found.segments)
    core.reader.forgetHints()
    core.settleIn(home, folder, snapshots)
    for (const segment of before) segment.close()
  }
}
