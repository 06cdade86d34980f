/**
 * What is counted about requests, as plain number fields: hot paths add to them, collectors read them when somebody
 * asks. Times are in milliseconds on the monotonic clock.
 */

/** Upper bounds of the buckets of request times, in milliseconds; one more bucket stands for all above. */
export const requestTimeBucketsMs = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
] as const

/** Counters of one API. */
export class ApiMetrics {
  readonly name: string
  requests = 0
  /** Answers that could not be made: bugs and operating errors. */
  failures = 0
  requestBytes = 0
  responseBytes = 0
  totalTimeMs = 0
  /** Requests per bucket, not cumulative. */
  readonly timeBuckets = new Float64Array(requestTimeBucketsMs.length + 1)

  constructor(name: string) {
    this.name = name
  }

  /** @param elapsedMs from the last byte of the request to its answer being ready */
  observe(elapsedMs: number): void {
    this.totalTimeMs += elapsedMs
    let bucket = 0
    while (
      bucket < requestTimeBucketsMs.length &&
      elapsedMs > (requestTimeBucketsMs[bucket] as number)
    ) {
      bucket++
    }
    this.timeBuckets[bucket] = (this.timeBuckets[bucket] as number) + 1
  }
}

/** Counters of all connections of one listener. */
export class ListenerMetrics {
  readonly name: string
  connectionsOpened = 0
  connectionsClosed = 0
  /** Connections turned away by a limit. */
  connectionsRefused = 0
  /** Connections closed because what they sent was no Kafka request that this broker reads. */
  protocolErrors = 0
  bytesReceived = 0
  bytesSent = 0

  constructor(name: string) {
    this.name = name
  }
}
