/**
 * What a client does wrongly with any broker, by client and feature: seen the same way against Apache Kafka 4.3.1. Such a
 * test is skipped; a client that has no call for a feature says so itself (`Unsupported`).
 */
export const clientLimits: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'kafka-go (Go)': {
    headers: 'it reads an empty header value as null',
    'empty keys and values': 'it reads empty bytes as null',
    'log append time': 'it tells the time that the producer set, not the broker',
  },
  'rust-rdkafka (Rust)': {
    'topic settings': 'it takes every change of settings for done, also one that was refused',
  },
  '@platformatic/kafka': {
    'log append time': 'it tells the time that the producer set, not the broker',
  },
}
