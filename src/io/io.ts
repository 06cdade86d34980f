/**
 * The only door to clock, chance, disk, network, codecs and worker jobs. Everything above floor 2 is handed an `Io`
 * and names none of Node's own modules for these, so that one seeded simulator can run whole brokers in one process.
 * `node-io.ts` is the real one; the tests have a simulated one.
 */
export type Io = {
  /** Never goes back; its zero is arbitrary. Network time-outs and liveness. */
  readonly monotonic: Clock
  /** Time as records and rules see it: retention, compaction, groups, producer expiry. Can be advanced by hand. */
  readonly brokerClock: AdvanceableClock
  /** The machine's wall clock. Display and default timestamps only. */
  readonly wall: Clock
  readonly timers: Timers
  readonly random: Random
  readonly disk: Disk
  readonly net: Net
  readonly memory: Memory
  readonly codecs: Codecs
  readonly jobs: Jobs
  /** CRC-32C (Castagnoli) of `buffer[start, end)`, as an unsigned 32-bit number. */
  crc32c(buffer: Buffer, start: number, end: number): number
}

export type Clock = {
  /** Milliseconds, may have a fraction on the monotonic clock. */
  nowMs(): number
}

export type AdvanceableClock = Clock & {
  /** Moves this clock forward by hand. Only time as rules see it: no timer fires earlier. */
  advance(byMs: number): void
}

export type Timer = { cancel(): void }

export type Timers = {
  /**
   * Runs `task` once, `delayMs` from now on the monotonic clock.
   *
   * @param keepsAlive the process must not end before; by default a timer keeps no process alive
   */
  schedule(delayMs: number, task: () => void, keepsAlive?: boolean): Timer
  /**
   * Runs `task` after all socket callbacks of this turn of the event loop (setImmediate): the moment at which the
   * writes of many connections are gathered into one.
   */
  endOfTurn(task: () => void): void
  /** Runs `task` at the end of the next turn, when the sockets have been looked at once more: long work goes on there. */
  nextTurn(task: () => void): void
}

export type Random = {
  /** A whole number in [0, maxExclusive). */
  int(maxExclusive: number): number
  /** A version 4 UUID in Kafka's text form: 22 characters of URL-safe base64. */
  uuid(): string
  bytes(size: number): Buffer
}

/** Paths are absolute. Synchronous calls are for start-up, small files and the append path's small writes. */
export type Disk = {
  openSync(path: string, mode: FileMode): DiskFile
  open(path: string, mode: FileMode): Promise<DiskFile>
  readFileSync(path: string): Buffer
  readFile(path: string): Promise<Buffer>
  existsSync(path: string): boolean
  /** @returns undefined when there is no such file */
  statSync(path: string): FileStat | undefined
  /** Names in a folder, not sorted. */
  listSync(path: string): DirectoryEntry[]
  list(path: string): Promise<DirectoryEntry[]>
  makeFolderSync(path: string): void
  renameSync(from: string, to: string): void
  rename(from: string, to: string): Promise<void>
  removeFileSync(path: string): void
  removeFile(path: string): Promise<void>
  /** Removes a folder and all in it; no error when it is not there. */
  removeFolder(path: string): Promise<void>
  removeFolderSync(path: string): void
  /** Writes beside the target, flushes, renames over it and flushes the folder: readers see the old or the new file. */
  replaceFileSync(path: string, content: Buffer): void
  replaceFile(path: string, content: Buffer): Promise<void>
  /** Writes beside the target, flushes, renames over it. The new name is durable after `flushFolder`. */
  writeFile(path: string, content: Buffer): Promise<void>
  /** Makes names created or removed in a folder durable. */
  flushFolderSync(path: string): void
  flushFolder(path: string): Promise<void>
  /** Bytes free and in total on the volume of `path`. */
  space(path: string): Promise<{ freeBytes: number; totalBytes: number }>
  /** Files and sockets that the system lets this process have open at once (`ulimit -n`). */
  mostOpenFiles(): number
  /** Claims a folder for this process until `release`; @throws LMQ_LOG_DIR_TAKEN */
  lockFolder(path: string): Promise<{ release(): Promise<void> }>
}

/** `read`, and `update` for reading and writing: the file must exist. `write`: read and write, made when missing. */
export type FileMode = 'read' | 'update' | 'write'

export type FileStat = { sizeBytes: number; modifiedMs: number }

export type DirectoryEntry = { name: string; isFolder: boolean }

/** One open file. Positions are explicit: there is no cursor. Errors are Node's own (ENOSPC, EIO ...). */
export type DiskFile = {
  readonly path: string
  readSync(target: Buffer, position: number): number
  read(target: Buffer, position: number): Promise<number>
  writeSync(chunks: readonly Buffer[], position: number): void
  write(chunks: readonly Buffer[], position: number): Promise<void>
  /** fdatasync: the data and what is needed to read it back. */
  flushSync(): void
  flush(): Promise<void>
  truncateSync(sizeBytes: number): void
  sizeSync(): number
  close(): Promise<void>
  closeSync(): void
}

export type Net = {
  /** @throws LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID */
  listen(address: ListenAddress, onConnection: (socket: Socket) => void): Promise<Server>
  /** @throws Node's own error (ECONNREFUSED, ETIMEDOUT ...) */
  connect(address: { host: string; port: number }, timeoutMs: number): Promise<Socket>
}

export type ListenAddress = { host: string | undefined; port: number; backlog?: number }

export type Server = {
  /** The port really bound, also when 0 was asked for. */
  readonly port: number
  readonly host: string
  /** Takes no new connections; open ones go on. Resolves when the port is free. */
  close(): Promise<void>
}

/** A byte stream. All callbacks run in the event loop; none runs after `onClose`. */
export type Socket = {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  /** Bytes handed to `write` that the peer's side has not taken yet. */
  readonly queuedBytes: number
  /** Of these, what the system has not taken yet: falls while a slow peer reads. Undefined: not known. */
  readonly untakenBytes?: number | undefined
  onData(listener: (chunk: Buffer) => void): void
  /**
   * In place of `onData`: reads into memory that is used again, or into the reader's own. False where that cannot be
   * had: use `onData` then.
   */
  readInto?(reader: SocketReader): boolean
  /** Called when all queued bytes were taken, after `write` had returned false. */
  onDrain(listener: () => void): void
  /** Called once, with the error if there was one. */
  onClose(listener: (error: Error | undefined) => void): void
  /**
   * All chunks leave in one system call where possible. False: stop writing until `onDrain`. Chunks must not change;
   * those from `Memory` belong to the socket from now on, which gives them back when they are sent.
   */
  write(chunks: readonly Buffer[]): boolean
  pause(): void
  resume(): void
  /** Sends what is queued, then ends. */
  end(): void
  /** Drops everything at once. */
  destroy(): void
}

/**
 * Memory for large reads from the disk that go to a socket. Giving back is voluntary: what is not given back is garbage
 * like any other. What must never happen is to give back what somebody still reads, so only the last owner does it.
 */
export type Memory = {
  /** @returns a buffer of exactly this size with anything in it */
  take(sizeBytes: number): Buffer
  /** @param part a buffer from `take`, or any part of one; other buffers are left alone */
  giveBack(part: Buffer): void
  /** Somebody keeps this memory for longer, or for several readers: `giveBack` has no effect on it any more. */
  keep(part: Buffer): void
}

/** Takes a socket's bytes where it wants them. */
export type SocketReader = {
  /** Memory for the next bytes; undefined: the socket's, which holds them until `read` returns. */
  target(): Buffer | undefined
  /**
   * @param chunk bytes that came
   * @param inTarget they are where `target` wanted them; else copy what is to be kept
   */
  read(chunk: Buffer, inTarget: boolean): void
}

/** Codec numbers as in a record batch's attributes. */
export const Codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
export type CodecId = (typeof Codec)[keyof typeof Codec]

export type Codecs = {
  /** @param level the codec's own scale; undefined = its default. @throws LMQ_CODEC_MISSING */
  compress(codec: CodecId, plain: Buffer, level?: number): Promise<Buffer>
  /**
   * @param maxBytes the bound: more is refused while it is being opened, not after
   * @throws LMQ_CODEC_MISSING, LMQ_CODEC_FAILED, LMQ_CODEC_TOO_LARGE
   */
  decompress(codec: CodecId, packed: Buffer, maxBytes: number): Promise<Buffer>
}

/** Work that would hold the event loop runs in a worker thread, one module per kind of job. */
export type Jobs = {
  /**
   * @param module absolute URL of a module that exports `run(input, io): Promise<output>`; `io` is the thread's own
   * @param input must survive structured clone
   */
  run<Output>(module: URL, input: unknown): Promise<Output>
  close(): Promise<void>
}
