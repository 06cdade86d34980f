/**
 * Cuts a stream of chunks into frames (int32 size, then that many bytes). A frame that lies within one chunk is a
 * window on it; one that spans chunks is copied once, into memory of exactly its size, which the owner grants first.
 */
export type FrameState = 'more' | 'frame' | 'memory' | 'negative' | 'too-large'

export class FrameReader {
  readonly #maxFrameBytes: number
  /** Received and not yet cut; only the first is being read. */
  #chunk: Buffer | undefined
  #position = 0
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

  /** @param maxFrameBytes largest size field that is accepted (socket.request.max.bytes) */
  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes
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

  feed(chunk: Buffer): void {
    if (chunk.length === 0) return
    if (this.#chunk === undefined) {
      this.#chunk = chunk
      this.#position = 0
    } else {
      this.#later.push(chunk)
    }
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
    this.#advance(this.#size)
    return 'frame'
  }

  /** Makes room for the frame that spans chunks. */
  allocate(): void {
    this.#gathered = Buffer.allocUnsafeSlow(this.#size)
    this.#gatheredBytes = 0
  }

  /** The frame was taken over: what `buffer` refers to belongs to the caller now. */
  consume(): void {
    this.buffer = undefined
    this.#sizeSeen = 0
    this.#size = 0
  }

  #emptyFrame(): FrameState {
    this.buffer = Buffer.alloc(0)
    this.start = 0
    this.end = 0
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
    return 'frame'
  }

  #advance(sizeBytes: number): void {
    this.#position += sizeBytes
    if (this.#chunk !== undefined && this.#position >= this.#chunk.length) {
      this.#chunk = this.#later.length > 0 ? this.#later.shift() : undefined
      this.#position = 0
    }
  }
}
