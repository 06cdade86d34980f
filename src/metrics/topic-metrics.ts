/** Counters of one topic, or of all: what Kafka calls BrokerTopicMetrics. Plain fields, see request-metrics.ts. */
export class TopicMetrics {
  messagesIn = 0
  bytesIn = 0
  bytesOut = 0
  /** Bytes of refused batches. */
  bytesRejected = 0
  produceRequests = 0
  fetchRequests = 0
  failedProduceRequests = 0
  failedFetchRequests = 0
  /** Bytes of batches taken from leaders. */
  replicationBytesIn = 0
  /** Bytes of batches given to followers. */
  replicationBytesOut = 0
}

/** Counters per topic and in total. A topic has counters from its first request on and loses them when it is deleted. */
export class TopicMetricsTable {
  readonly total = new TopicMetrics()
  readonly #topics = new Map<string, TopicMetrics>()

  /** Only for topics that exist: what a client names must not grow this table. */
  of(topic: string): TopicMetrics {
    let metrics = this.#topics.get(topic)
    if (metrics === undefined) {
      metrics = new TopicMetrics()
      this.#topics.set(topic, metrics)
    }
    return metrics
  }

  topics(): Iterable<[string, TopicMetrics]> {
    return this.#topics
  }

  remove(topic: string): void {
    this.#topics.delete(topic)
  }
}
