// A client library under test, behind one set of commands: see client-drivers.ts for who serves them.

export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
export const codecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** A record to produce. Bytes as base64; `partition` and `timestampMs` are the client's choice when left out. */
export type Outgoing = {
  key: string | null
  value: string | null
  headers?: [string, string | null][]
  timestampMs?: number
  partition?: number
}

/** A record as a client read it. */
export type Incoming = {
  topic: string
  partition: number
  offset: number
  key: string | null
  value: string | null
  headers: [string, string | null][]
  timestampMs: number
}

export type Outcome = { partition: number; offset: number } | { error: string }
export type ErrorNames = { results: Record<string, string | null> }
export type Offsets = Record<string, number>

export class Unsupported extends Error {}

export type Answer = Record<string, unknown>

/** @throws Unsupported when this client has no call for the command, Error with the client's own words when it failed */
export type Driver = {
  readonly client: ClientName
  readonly version: string
  call(command: string, args?: object): Promise<Answer>
  stop(): Promise<void>
}

export type ClientName =
  | 'kafkajs'
  | '@platformatic/kafka'
  | 'confluent-kafka-javascript'
  | 'node-rdkafka'
  | 'confluent-kafka (Python)'
  | 'kafka-python'
  | 'aiokafka'
  | 'franz-go (Go)'
  | 'kafka-go (Go)'
  | 'sarama (Go)'
  | 'rust-rdkafka (Rust)'
  | 'Java'

/** Turns the two special answers into errors. */
export function checked(command: string, answer: Answer): Answer {
  if (answer['unsupported'] === true) throw new Unsupported(`no call for ${command}`)
  if (typeof answer['error'] === 'string') throw new Error(`${command}: ${answer['error']}`)
  return answer
}
