/**
 * Random well-typed requests, the same for every broker: from a seed, with values at the edges of what is allowed. Told to
 * Apache Kafka once (test/tools/record-random-answers.ts), and to LMQ in every run of the tests. Only error codes are kept.
 */
import { readFileSync } from 'node:fs'
import { crc32c } from '../../../../src/io/crc32c.ts'
import { findCoordinator } from '../../../../src/protocol/apis/10-find-coordinator.ts'
import { heartbeat } from '../../../../src/protocol/apis/12-heartbeat.ts'
import { createTopics } from '../../../../src/protocol/apis/19-create-topics.ts'
import { initProducerId } from '../../../../src/protocol/apis/22-init-producer-id.ts'
import { buildBatch } from '../../../../src/protocol/batch-builder.ts'
import type { Fields } from '../../../../src/protocol/schema.ts'
import { createApiTable } from '../../../../src/server/handlers.ts'
import { Dice, randomRequest } from '../../../fuzz/random-frames.ts'
import { RawClient } from '../raw-client.ts'

/** What changes nothing that another request would meet, or the same in every broker. */
const keys = new Set([
  0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 19, 21, 22, 23, 32, 35, 37, 42, 43, 44, 46, 47, 48, 50,
  55, 57, 60, 61, 74, 75,
])
const targets = [...createApiTable().all()]
  .filter(({ api }) => keys.has(api.key))
  .flatMap(({ api, versions: { min, max } }) =>
    Array.from({ length: max - min + 1 }, (_, i) => ({ api, version: min + i })),
  )
  // Older versions of Metadata make the topics that they name.
  .filter(({ api, version }) => api.key !== 3 || version >= 4)

const ANSWER_MS = 4_000
/** Fields that would make an answer depend on time, or change what later requests meet. */
const fixed: Readonly<Record<string, unknown>> = {
  allowAutoTopicCreation: false,
  validateOnly: true,
  replicaId: -1,
  transactionalId: null,
  maxBytes: 1_000_000,
}

const record = { key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 1_700_000_000_000 }

/** Goes through a random request and puts what must be the same everywhere in its place. */
function settle(dice: Dice, fields: Fields, message: Record<string, unknown>): void {
  for (const [name, field] of Object.entries(fields)) {
    if (!(name in message)) continue
    const value = message[name]
    if (name in fixed) message[name] = fixed[name]
    else if (field.kind === 'records') {
      const batch = buildBatch([record], {}, crc32c)
      if (dice.chance(40)) batch.writeUInt8(dice.int(256), 8 + dice.int(batch.length - 8))
      message[name] = batch
    } else if (field.kind === 'struct' && value !== null) {
      const parts = Array.isArray(value) ? value : [value]
      for (const part of parts) settle(dice, field.fields ?? {}, part)
    }
  }
}

/** All error codes of an answer, in an order that brokers need not promise. */
function codesOf(answer: unknown): string {
  const codes: string[] = []
  const visit = (value: unknown, path: string): void => {
    if (Array.isArray(value)) for (const each of value) visit(each, path)
    else if (value !== null && typeof value === 'object' && !Buffer.isBuffer(value)) {
      for (const [name, each] of Object.entries(value)) {
        if (name === 'errorCode') codes.push(`${path}${each}`)
        else visit(each, `${path}${name}.`)
      }
    }
  }
  visit(answer, '')
  return codes.sort().join(' ')
}

/** The answers to `count` requests of a seed, a line each. */
export async function tellRandom(port: number, seed: number, count: number): Promise<string[]> {
  const dice = new Dice(seed)
  const lines: string[] = []
  let client = await RawClient.connect(port)
  for (let number = 0; number < count; number++) {
    const { api, version } = dice.pick(targets)
    const request = randomRequest(dice, api.request.fields, version) as Record<string, unknown>
    settle(dice, api.request.fields, request)
    const asked = client.ask(api, version, request as never, 'fuzz').then(codesOf, () => 'closed')
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, ANSWER_MS, 'silent')
    })
    const answer = await Promise.race([asked, silence])
    clearTimeout(timer)
    lines.push(`${seed}.${number} ${api.name} v${version}: ${answer}`)
    if (answer === 'closed' || answer === 'silent') {
      client.close()
      client = await RawClient.connect(port)
    }
  }
  client.close()
  return lines
}

/** The topic that random requests hit, and the one that groups need. */
export async function makeRandomTopic(port: number): Promise<void> {
  const client = await RawClient.connect(port)
  await client.ask(createTopics, 5, {
    topics: [
      {
        name: 'fuzz',
        numPartitions: 3,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: 'retention.ms', value: '-1' }],
      },
    ],
    timeoutMs: 30_000,
    validateOnly: false,
  })
  // A coordinator that is still being made answers otherwise, and so does a broker that has no producer ids yet.
  for (const groupId of ['fuzz', 'fuzz-2', 'g', 'm', '__consumer_offsets', '..', 'x y']) {
    const request = { groupId, generationId: -1, memberId: '' }
    const isReady = ({ errorCode }: { errorCode: number }) => ![14, 15, 16].includes(errorCode)
    for (;;) {
      await client.ask(findCoordinator, 2, { key: groupId, keyType: 0, coordinatorKeys: [] })
      if (isReady(await client.ask(heartbeat, 1, request))) break
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const request = { transactionalId: null, transactionTimeoutMs: 1000 }
  while ((await client.ask(initProducerId, 1, request)).errorCode === 14) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  client.close()
}

export const seeds = [1, 2, 3]
export const requestsOfSeed = 250

export const readRandomAnswers = (): string[] =>
  readFileSync(new URL('../../../golden/random-answers.txt', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
