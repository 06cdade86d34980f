import type { Memory } from '../io/io.ts'

/**
 * Cuts a stream of chunks into frames (int32 size, then that many bytes). A frame that lies within one chunk is a
 * window on it; one that spans chunks is gathered in memory of exactly its size, which the owner grants first.
 *
 * A chunk may be borrowed: its memory is used again when the call that brought it returns. `settle` must follow then.
 */
export type FrameState = 'more' | 'frame' | 'memory' | 'negative' | 'too-large'

/** Less than this is not worth a read of its own. */
const MIN_TARGET_BYTES = 32 * 1024

export class FrameReader {
  readonly #maxFrameBytes: number
  readonly #memory: Memory
  /** Received and not yet cut; only the first is being read, and only the first may be borrowed. */
  #chunk: Buffer | undefined
  #position = 0
  #borrowed = false
  #later: Buffer[] = []
  /** Bytes of the size field seen so far (0 to 4), and their value. */
  #sizeSeen = 0
  #size = 0
  /** Memory for a frame that spans chunks. */
  #gathered: Buffer | undefined
  #gatheredBytes = 0

  /** The frame that `next` announced: `buffer[start, end)`, without the size field. Valid until `consume`. */
  buffer: Buffer | undefined
  start = 0
  end = 0
  /** The frame's memory is borrowed: copy what is kept beyond this call. */
  isBorrowed = false
  /** The frame has memory of its own, from `Memory.take`. */
  isGathered = false

  /** @param maxFrameBytes largest size field that is accepted (socket.request.max.bytes) */
  constructor(maxFrameBytes: number, memory: Memory) {
    this.#maxFrameBytes = maxFrameBytes
    this.#memory = memory
  }

  /** The size field of the frame that stands first, once `next` returned anything but 'more'. */
  get frameBytes(): number {
    return this.#size
  }

  /** True while a frame has begun and is not complete. */
  get midFrame(): boolean {
    return this.buffer === undefined && (this.#sizeSeen > 0 || this.#gathered !== undefined)
  }

  /** True when received bytes lie unread. */
  get hasUnread(): boolean {
    return this.#chunk !== undefined
  }

  feed(chunk: Buffer, isBorrowed = false): void {
    if (chunk.length === 0) return
    if (this.#chunk === undefined) {
      this.#chunk = chunk
      this.#position = 0
      this.#borrowed = isBorrowed
    } else {
      this.#later.push(isBorrowed ? Buffer.from(chunk) : chunk)
    }
  }

  /** Where the next bytes of the stream are wanted: behind what is gathered. undefined: anywhere. */
  target(): Buffer | undefined {
    const gathered = this.#gathered
    if (gathered === undefined || this.#chunk !== undefined) return undefined
    if (gathered.length - this.#gatheredBytes < MIN_TARGET_BYTES) return undefined
    return gathered.subarray(this.#gatheredBytes)
  }

  /** `sizeBytes` were put into `target`. */
  filled(sizeBytes: number): void {
    this.#gatheredBytes += sizeBytes
  }

  /**
   * 'frame': `buffer`, `start`, `end` are set and stay so until `consume`. 'memory': call `allocate` when `frameBytes`
   * are granted. 'negative' and 'too-large' are final: the stream cannot be read on.
   */
  next(): FrameState {
    if (this.buffer !== undefined) return 'frame'
    if (this.#gathered !== undefined) return this.#gather(this.#gathered)
    if (!this.#readSize()) return 'more'
    if (this.#size < 0) return 'negative'
    if (this.#size > this.#maxFrameBytes) return 'too-large'
    const chunk = this.#chunk
    if (chunk === undefined) return this.#size === 0 ? this.#emptyFrame() : 'more'
    if (chunk.length - this.#position < this.#size) return 'memory'
    this.buffer = chunk
    this.start = this.#position
    this.end = this.#position + this.#size
    this.isBorrowed = this.#borrowed
    this.isGathered = false
    this.#advance(this.#size)
    return 'frame'
  }

  /** Makes room for the frame that spans chunks. */
  allocate(): void {
    this.#gathered = this.#memory.take(this.#size)
    this.#gatheredBytes = 0
  }

  /** The frame was taken over: what `buffer` refers to belongs to the caller now. */
  consume(): void {
    this.buffer = undefined
    this.#sizeSeen = 0
    this.#size = 0
  }

  /** Copies what is left of a borrowed chunk, before its memory is used again. */
  settle(): void {
    if (this.buffer !== undefined && this.isBorrowed) {
      this.buffer = Buffer.from(this.buffer.subarray(this.start, this.end))
      this.start = 0
      this.end = this.buffer.length
      this.isBorrowed = false
    }
    if (!this.#borrowed) return
    this.#borrowed = false
    if (this.#chunk === undefined) return
    this.#chunk = Buffer.from(this.#chunk.subarray(this.#position))
    this.#position = 0
  }

  #emptyFrame(): FrameState {
    this.buffer = Buffer.alloc(0)
    this.start = 0
    this.end = 0
    this.isBorrowed = false
    this.isGathered = false
    return 'frame'
  }

  #readSize(): boolean {
    while (this.#sizeSeen < 4) {
      const chunk = this.#chunk
      if (chunk === undefined) return false
      if (this.#sizeSeen === 0 && chunk.length - this.#position >= 4) {
        this.#size = chunk.readInt32BE(this.#position)
        this.#sizeSeen = 4
        this.#advance(4)
        return true
      }
      this.#size = (this.#size << 8) | (chunk[this.#position] as number)
      this.#sizeSeen++
      this.#advance(1)
    }
    return true
  }

  #gather(target: Buffer): FrameState {
    while (this.#gatheredBytes < target.length) {
      const chunk = this.#chunk
      if (chunk === undefined) return 'more'
      const wanted = Math.min(target.length - this.#gatheredBytes, chunk.length - this.#position)
      chunk.copy(target, this.#gatheredBytes, this.#position, this.#position + wanted)
      this.#gatheredBytes += wanted
      this.#advance(wanted)
    }
    this.#gathered = undefined
    this.buffer = target
    this.start = 0
    this.end = target.length
    this.isBorrowed = false
    this.isGathered = true
    return 'frame'
  }

  #advance(sizeBytes: number): void {
    this.#position += sizeBytes
    if (this.#chunk !== undefined && this.#position >= this.#chunk.length) {
      this.#chunk = this.#later.length > 0 ? this.#later.shift() : undefined
      this.#position = 0
      this.#borrowed = false
    }
  }
}
