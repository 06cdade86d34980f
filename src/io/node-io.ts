import { BufferPool } from './buffer-pool.ts'
import { crc32c } from './crc32c.ts'
import type { Io } from './io.ts'
import { BrokerClock, monotonicClock, NodeTimers, wallClock } from './node-clocks.ts'
import { nodeCodecs } from './node-codecs.ts'
import { nodeDisk } from './node-disk.ts'
import { NodeJobs } from './node-jobs.ts'
import { createNodeNet } from './node-net.ts'
import { nodeRandom } from './node-random.ts'

/** The real world. Cheap to make: codecs, checksums and worker threads are loaded when first used. */
export function createNodeIo(): Io {
  const memory = new BufferPool()
  return {
    monotonic: monotonicClock,
    brokerClock: new BrokerClock(monotonicClock, wallClock),
    wall: wallClock,
    timers: new NodeTimers(),
    random: nodeRandom,
    disk: nodeDisk,
    net: createNodeNet(memory),
    memory,
    codecs: nodeCodecs,
    jobs: new NodeJobs(),
    crc32c,
  }
}
