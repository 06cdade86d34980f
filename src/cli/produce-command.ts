import { createReadStream } from 'node:fs'
import { Command, Option } from 'commander'
import { Client } from '../client/client.ts'
import { Producer } from '../client/producer.ts'
import { TopicView } from '../client/topic-view.ts'
import { Codec, type CodecId } from '../io/io.ts'
import type { RecordInput } from '../protocol/batch-builder.ts'
import type { RecordHeader } from '../protocol/record.ts'
import { UsageError } from './error-sentence.ts'
import { splitLines } from './line-splitter.ts'
import { Progress } from './progress.ts'
import { recordFromJson } from './record-json.ts'
import { collect, integerOf, withTool, withToolFlags } from './tool.ts'

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const acksOf: Readonly<Record<string, -1 | 0 | 1>> = { all: -1, '1': 1, '0': 0 }
/** A broker may be restarted while records flow: as long as this they wait. */
const patienceMs = 120_000

type ProduceFlags = {
  key?: string
  keySeparator?: string
  header?: string[]
  partition?: string
  codec: (typeof codecs)[number]
  acks: string
  json?: boolean
  file?: string
  emptyIsNull?: boolean
  repartition?: boolean
  batchBytes?: string
}

export function produceCommand(): Command {
  const command = new Command('produce').description(
    'send lines of the input as records; with --json each line is an object with key, value, headers, partition, timestamp',
  )
  return withToolFlags(command)
    .argument('<topic>')
    .option('-f, --file <path>', 'read this file instead of the input')
    .option('-k, --key <text>', 'the key of all records')
    .option('-K, --key-separator <text>', 'each line is key, separator, value')
    .option('-H, --header <key=value>', 'a header of all records; may be repeated', collect)
    .option('-p, --partition <number>', 'the partition of all records')
    .option(
      '--repartition',
      'pass over partitions in JSON lines: the key decides, as for new records',
    )
    .option('--empty-is-null', 'an empty value is null: a tombstone')
    .addOption(new Option('-z, --codec <codec>', 'compression').choices(codecs).default('none'))
    .addOption(new Option('--acks <acks>').choices(Object.keys(acksOf)).default('all'))
    .option('--batch-bytes <number>', 'most bytes of a batch before compression')
    .action(produce)
}

function headersOf(words: readonly string[] = []): RecordHeader[] {
  return words.map((word) => {
    const at = word.indexOf('=')
    if (at < 1) throw new UsageError(`--header ${word}: write key=value`)
    return { key: word.slice(0, at), value: Buffer.from(word.slice(at + 1)) }
  })
}

/** How a line becomes a record, when lines are not JSON. */
function lineReader(flags: ProduceFlags): (line: Buffer) => RecordInput {
  const headers = headersOf(flags.header)
  const fixedKey = flags.key === undefined ? null : Buffer.from(flags.key)
  const separator = flags.keySeparator === undefined ? undefined : Buffer.from(flags.keySeparator)
  if (separator?.length === 0) throw new UsageError('--key-separator must not be empty')
  return (line) => {
    let key: Buffer | null = fixedKey
    let value: Buffer | null = line as Buffer
    const at = separator ? line.indexOf(separator) : -1
    if (separator && at >= 0) {
      key = line.subarray(0, at)
      value = line.subarray(at + separator.length)
    }
    if (flags.emptyIsNull && value.length === 0) value = null
    return { key, value, headers, timestamp: Date.now() }
  }
}

async function sendAll(
  producer: Producer,
  topic: string,
  flags: ProduceFlags,
  input: AsyncIterable<Buffer>,
): Promise<number> {
  const partition =
    flags.partition === undefined ? undefined : integerOf('--partition', flags.partition)
  const readLine = lineReader(flags)
  let sent = 0
  let number = 0
  for await (const line of splitLines(input)) {
    number++
    if (!flags.json) {
      await producer.send(topic, readLine(line), partition)
      sent++
      continue
    }
    const text = line.toString('utf8')
    if (text.trim() === '') continue
    const parsed = recordFromJson(text, `line ${number}`, Date.now())
    const own = flags.repartition ? undefined : parsed.partitionIndex
    await producer.send(topic, parsed.record, partition ?? own)
    sent++
  }
  return sent
}

const produce = (topic: string, flags: ProduceFlags, command: Command): Promise<void> =>
  withTool(command, async ({ client, output, patienceMs: wished }) => {
    // Somebody who mistyped address or topic learns it soon; a broker that goes away later is waited for.
    await client.metadata([])
    await client.retrying(() => new TopicView(client, { create: true }).topic(topic))
    const progress = new Progress('acknowledged')
    const patient = new Client(client.io, {
      ...client.options,
      retryForMs: wished ?? patienceMs,
      onRetry: (error) => progress.note(`waiting: ${error.message}`),
    })
    try {
      const producer = new Producer(patient, {
        acks: acksOf[flags.acks] ?? -1,
        codec: Codec[flags.codec] as CodecId,
        retryForMs: wished ?? patienceMs,
        ...(flags.batchBytes === undefined
          ? {}
          : { batchBytes: integerOf('--batch-bytes', flags.batchBytes, 1) }),
        onAcknowledged: ({ recordCount }) => progress.advance(recordCount),
      })
      const input = flags.file === undefined ? process.stdin : createReadStream(flags.file)
      try {
        await sendAll(producer, topic, flags, input)
      } finally {
        // What was read before a bad line still goes out.
        await producer.flush()
      }
    } finally {
      progress.end()
      patient.close()
    }
    if (process.stderr.isTTY) output.note(progress.text())
  })
