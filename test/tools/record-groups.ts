// Writes down what a real broker answers to the stories of test/unit/coordinator/group-scenarios.ts, as
// test/golden/group-answers.txt. The broker needs the topics and settings that are named there, and the host and
// port that it advertises are replaced by fixed ones.
//
//   node --import tsx test/tools/record-groups.ts HOST:PORT [STORY ...]
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { findCoordinator } from '../../src/protocol/apis/10-find-coordinator.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { requestHeader } from '../../src/protocol/messages/request-header.ts'
import type { Api, RequestInput, ResponseOf } from '../../src/protocol/schema.ts'
import { inRange } from '../../src/protocol/versions.ts'
import { type Stage, scenarios, Telling } from '../unit/coordinator/group-scenarios.ts'

const [address, ...wanted] = process.argv.slice(2)
if (!address) {
  console.error('usage: record-groups HOST:PORT [STORY ...]')
  process.exit(2)
}
const [host = '127.0.0.1', port = '9092'] = address.split(':')

/** One client: requests go out as they come, answers are paired in order. */
class Connection {
  readonly #socket = net.connect(Number(port), host)
  readonly #waiting: ((frame: Buffer) => void)[] = []
  #pending = Buffer.alloc(0)
  readonly #clientId: string

  constructor(clientId: string) {
    this.#clientId = clientId
    this.#socket.on('data', (chunk) => {
      this.#pending = Buffer.concat([this.#pending, chunk])
      while (
        this.#pending.length >= 4 &&
        this.#pending.length >= 4 + this.#pending.readInt32BE(0)
      ) {
        const end = 4 + this.#pending.readInt32BE(0)
        this.#waiting.shift()?.(Buffer.from(this.#pending.subarray(8, end)))
        this.#pending = this.#pending.subarray(end)
      }
    })
    this.#socket.on('close', () => {
      if (this.#waiting.length > 0) console.error(`${clientId}: closed by the broker`)
    })
  }

  call<A extends Api>(api: A, version: number, input: RequestInput<A>): Promise<ResponseOf<A>> {
    const isFlexible = inRange(api.flexible, version)
    const fields = {
      requestApiKey: api.key,
      requestApiVersion: version,
      correlationId: 1,
      clientId: this.#clientId,
    }
    const header = requestHeader.encode(fields, isFlexible ? 2 : 1)
    const body = api.request.encode(input as never, version)
    const size = Buffer.alloc(4)
    size.writeInt32BE(header.length + body.length)
    this.#socket.write(Buffer.concat([size, header, body]))
    return new Promise((resolve) => {
      this.#waiting.push((frame) => {
        resolve(api.response.decode(frame, version, isFlexible ? 1 : 0) as ResponseOf<A>)
      })
    })
  }

  close(): void {
    this.#socket.destroy()
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const admin = new Connection('admin')
const topics = [
  { name: 'orders', numPartitions: 4, replicationFactor: 1, assignments: [], configs: [] },
  { name: 'payments', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] },
]
await admin.call(createTopics, 5, { topics, timeoutMs: 10_000, validateOnly: false })
await pause(1000)
// The first question makes `__consumer_offsets`; its partitions are ready a moment later.
for (let found = -1; found !== 0; await pause(1000)) {
  const asked = { key: 'any', keyType: 0, coordinatorKeys: [] }
  found = (await admin.call(findCoordinator, 3, asked)).errorCode
}
const described = await admin.call(metadata, 12, {
  topics: topics.map(({ name }) => ({ name })),
  allowAutoTopicCreation: false,
} as never)
const ids = new Map(described.topics.map(({ name, topicId }) => [name, topicId]))

const out: string[] = []
for (const [title, story] of Object.entries(scenarios)) {
  if (wanted.length > 0 && !wanted.includes(title)) continue
  const connections = new Map<string, Connection>()
  const stage: Stage = {
    call: (who, api, version, input) => {
      const connection = connections.get(who) ?? new Connection(who)
      connections.set(who, connection)
      return connection.call(api, version, input)
    },
    pass: pause,
    topicId: (topic) => ids.get(topic) ?? '',
  }
  const telling = new Telling(stage, title, `-${Date.now()}`)
  await story(telling)
  for (const connection of connections.values()) connection.close()
  const lines = telling.lines.map((line) =>
    line
      .replace(`"port":${port}`, '"port":9092')
      .replaceAll(`"port":${port}`, '"port":9092')
      .replaceAll(`"host":"${host}"`, '"host":"localhost"'),
  )
  out.push(`== ${title}`, ...lines, '')
}
admin.close()
const text = out.join('\n')
if (wanted.length > 0) console.log(text)
else writeFileSync(new URL('../golden/group-answers.txt', import.meta.url), text)
