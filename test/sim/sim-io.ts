import { crc32c } from '../../src/io/crc32c.ts'
import type { Io, Jobs } from '../../src/io/io.ts'
import { nodeCodecs } from '../../src/io/node-codecs.ts'
import { SimDisk } from './sim-disk.ts'
import { SimNet } from './sim-net.ts'
import { SimRandom } from './sim-random.ts'
import { SimScheduler } from './sim-scheduler.ts'

/** One simulated machine: everything in it follows from the seed. */
export type SimWorld = {
  readonly io: Io
  /** Chance for the test itself, apart from the program's. */
  readonly random: SimRandom
  readonly disk: SimDisk
  readonly net: SimNet
  readonly scheduler: SimScheduler
  /** Drives simulated time until the work is done. */
  run<Result>(work: () => Promise<Result>): Promise<Result>
  /** Lets simulated time pass. */
  advance(byMs: number): Promise<void>
  /** The process dies with `kill -9`: the page cache stays. */
  kill(): void
  /** The machine dies: what was not synced is lost or torn. */
  losePower(): void
}

export function createSimIo(seed: number): SimWorld {
  const scheduler = new SimScheduler()
  const disk = new SimDisk(scheduler, new SimRandom(seed * 4 + 1))
  const net = new SimNet(scheduler, new SimRandom(seed * 4 + 2))
  const kept = new WeakSet<object>()
  const io: Io = {
    monotonic: scheduler.monotonic,
    brokerClock: scheduler.brokerClock,
    wall: scheduler.wall,
    timers: scheduler,
    random: new SimRandom(seed * 4 + 3),
    disk,
    net,
    memory: {
      take: (sizeBytes) => Buffer.alloc(sizeBytes, 0xee),
      giveBack: (part) => void (kept.has(part.buffer) || part.fill(0xdd)),
      keep: (part) => void kept.add(part.buffer),
    },
    codecs: {
      compress: (codec, plain, level) => scheduler.real(nodeCodecs.compress(codec, plain, level)),
      decompress: (codec, packed, maxBytes) =>
        scheduler.real(nodeCodecs.decompress(codec, packed, maxBytes)),
    },
    jobs: inProcessJobs(() => io, scheduler),
    crc32c,
  }
  return {
    io,
    random: new SimRandom(seed * 4),
    disk,
    net,
    scheduler,
    run: (work) => scheduler.run(work),
    advance: (byMs) => scheduler.advance(byMs),
    kill() {
      disk.kill()
      scheduler.clear()
    },
    losePower() {
      disk.losePower()
      scheduler.clear()
    },
  }
}

/** Jobs run in this thread, on the simulated disk. */
function inProcessJobs(io: () => Io, scheduler: SimScheduler): Jobs {
  return {
    async run<Output>(module: URL, input: unknown): Promise<Output> {
      const job = (await scheduler.real(import(module.href))) as {
        run(input: unknown, jobIo: Io): Promise<Output>
      }
      return job.run(structuredClone(input), io())
    },
    async close() {},
  }
}
