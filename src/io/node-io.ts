import { crc32c } from './crc32c.ts'
import type { Io } from './io.ts'
import { BrokerClock, monotonicClock, NodeTimers, wallClock } from './node-clocks.ts'
import { nodeCodecs } from './node-codecs.ts'
import { nodeDisk } from './node-disk.ts'
import { NodeJobs } from './node-jobs.ts'
import { nodeNet } from './node-net.ts'
import { nodeRandom } from './node-random.ts'

/** The real world. Cheap to make: codecs, checksums and worker threads are loaded when first used. */
export function createNodeIo(): Io {
  return {
    monotonic: monotonicClock,
    brokerClock: new BrokerClock(monotonicClock, wallClock),
    wall: wallClock,
    timers: new NodeTimers(),
    random: nodeRandom,
    disk: nodeDisk,
    net: nodeNet,
    codecs: nodeCodecs,
    jobs: new NodeJobs(),
    crc32c,
  }
}
