import { constants, gunzipSync, gzipSync } from 'node:zlib'
import { LmqError } from '../../src/base/errors.ts'
import { crc32c } from '../../src/io/crc32c.ts'
import { Codec, type Codecs, type Io, type Timers } from '../../src/io/io.ts'
import { SimDisk } from './sim-disk.ts'
import type { SimNet, SimNetPort } from './sim-net.ts'
import { SimRandom } from './sim-random.ts'
import type { SimScheduler } from './sim-scheduler.ts'

/**
 * A simulated machine: a disk, a wall clock of its own, and at most one process at a time. What belongs to a process runs
 * only while that lives: nothing of it after `kill`, and all of it late, at once, after a pause.
 */
export class SimHost {
  readonly name: string
  readonly disk: SimDisk
  readonly #scheduler: SimScheduler
  readonly #net: SimNet
  readonly #random: SimRandom
  /** Of the wall clock. */
  readonly clockOffsetMs: number
  /** Of the machine's run: another one when its page cache is gone. */
  bootId: string
  process: SimProcess | undefined

  constructor(
    name: string,
    scheduler: SimScheduler,
    net: SimNet,
    random: SimRandom,
    clockOffsetMs = 0,
  ) {
    this.name = name
    this.#scheduler = scheduler
    this.#net = net
    this.#random = random
    this.clockOffsetMs = clockOffsetMs
    this.bootId = random.uuid()
    const { wall } = scheduler
    // The disk lives as long as the machine; a process that hangs does not take its answers.
    const schedule: SimScheduler['schedule'] = (delayMs, task) =>
      scheduler.schedule(delayMs, () => {
        if (this.process?.isPaused) this.process.enter(task)
        else task()
      })
    this.disk = new SimDisk({ schedule, wall }, new SimRandom(random.int(2 ** 31)))
  }

  /** A new process; the former one must be gone. */
  boot(): SimProcess {
    if (this.process) throw new Error(`${this.name} runs already`)
    this.#net.light(this.name)
    const seed = this.#random.int(2 ** 31)
    this.process = new SimProcess(this, this.#scheduler, this.#net, new SimRandom(seed))
    return this.process
  }

  /** `kill -9`: the page cache stays, and the system ends the connections. */
  kill(): void {
    this.process?.die(true)
    this.process = undefined
    this.disk.kill()
  }

  /** What was not flushed is lost or torn, and nobody answers any more. */
  losePower(): void {
    this.#net.dark.add(this.name)
    this.process?.die(false)
    this.process = undefined
    this.disk.losePower()
    this.bootId = this.#random.uuid()
  }

  /** The machine is gone: another one with an empty disk has its name. */
  replace(): void {
    this.losePower()
    this.disk.wipe()
  }
}

export class SimProcess {
  /** Whose turn it is. */
  static current: SimProcess | undefined
  readonly host: SimHost
  readonly #io: Io
  readonly #scheduler: SimScheduler
  readonly #port: SimNetPort
  #isAlive = true
  #isPaused = false
  /** What came due while the process hung. */
  #backlog: (() => void)[] = []

  constructor(host: SimHost, scheduler: SimScheduler, net: SimNet, random: SimRandom) {
    this.host = host
    this.#scheduler = scheduler
    this.#port = net.attach(host.name, (task) => this.enter(task))
    const kept = new WeakSet<object>()
    let aheadMs = host.clockOffsetMs
    const { wall, monotonic } = scheduler
    this.#io = {
      monotonic,
      wall: { nowMs: () => wall.nowMs() + host.clockOffsetMs },
      brokerClock: {
        nowMs: () => wall.nowMs() + aheadMs,
        advance: (byMs) => {
          aheadMs += byMs
        },
      },
      timers: this.#timers(),
      random,
      disk: host.disk,
      net: this.#port,
      memory: {
        take: (sizeBytes) => Buffer.alloc(sizeBytes, 0xee),
        giveBack: (part) => void (kept.has(part.buffer) || part.fill(0xdd)),
        keep: (part) => void kept.add(part.buffer),
      },
      codecs,
      jobs: {
        run: () => Promise.reject(new LmqError('LMQ_SHUTTING_DOWN', { jobs: 'none here' })),
        close: async () => {},
      },
      crc32c,
    }
  }

  get io(): Io {
    return this.#io
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Runs `task` as the system would call this process. */
  readonly enter = (task: () => void): void => {
    if (!this.#isAlive) return
    if (this.#isPaused) this.#backlog.push(task)
    else {
      SimProcess.current = this
      task()
    }
  }

  /** SIGSTOP: the system goes on to take connections and bytes for it. */
  pause(): void {
    this.#isPaused = true
  }

  /** SIGCONT. */
  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    for (const task of this.#backlog.splice(0)) {
      this.#scheduler.schedule(0, () => this.enter(task))
    }
  }

  die(hasPower: boolean): void {
    const backlog = this.#backlog
    this.#backlog = []
    this.#isPaused = false
    this.#isAlive = false
    this.#port.end(hasPower)
    // Calls to the disk are among it: they end as those of a dead process.
    for (const task of backlog) this.#scheduler.schedule(0, () => void this.enter(task))
  }

  #timers(): Timers {
    const scheduler = this.#scheduler
    return {
      schedule: (delayMs, task) => {
        let isCancelled = false
        const timer = scheduler.schedule(delayMs, () =>
          this.enter(() => {
            if (!isCancelled) task()
          }),
        )
        return {
          cancel: () => {
            isCancelled = true
            timer.cancel()
          },
        }
      },
      endOfTurn: (task) => scheduler.endOfTurn(() => this.enter(task)),
      nextTurn: (task) => scheduler.nextTurn(() => this.enter(task)),
    }
  }
}

/** Within the same turn, so that nothing depends on how fast this machine is. */
const codecs: Codecs = {
  async compress(codec, plain) {
    if (codec === Codec.none) return plain
    if (codec === Codec.gzip) return gzipSync(plain, { level: constants.Z_BEST_SPEED })
    throw new LmqError('LMQ_CODEC_MISSING', { codec })
  },
  async decompress(codec, packed, maxBytes) {
    if (codec === Codec.none) return packed
    if (codec === Codec.gzip) return gunzipSync(packed, { maxOutputLength: Math.max(1, maxBytes) })
    throw new LmqError('LMQ_CODEC_MISSING', { codec })
  },
}
