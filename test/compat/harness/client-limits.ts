/**
 * What a client does wrongly with any broker, by client and feature: seen the same way against Apache Kafka 4.3.1, with this
 * list emptied and the broker's address in LMQ_TEST_BOOTSTRAP. Such a test is skipped; a client that has no call for a feature
 * says so itself (`Unsupported`).
 */
export const clientLimits: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  kcat: {
    'offset of highest timestamp': 'it asks in a version of ListOffsets that has none',
  },
  kafkajs: {
    'null header values': 'it refuses them: the "string" argument must be of type string',
  },
  'confluent-kafka-javascript': {
    'null header values': 'it refuses them: "Header value must be a string or buffer"',
    'empty keys and values': 'empty bytes come back as null',
  },
  'node-rdkafka': {
    'binary header values': 'it sends values as text, up to the first zero byte',
    'null header values': 'it sends the text "null"',
    'empty keys and values': 'empty bytes come back as null',
  },
  'kafka-python': {
    'null header values': 'it refuses them: "All headers items must be (str, bytes) tuples"',
    'neither key nor value': 'it refuses that: "Need at least one: key or value"',
  },
  aiokafka: {
    'neither key nor value': 'it refuses that: "Need at least one: key or value"',
  },
  'kafka-go (Go)': {
    'empty header values': 'it reads them as null',
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
