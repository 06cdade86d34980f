/** FindCoordinator: which broker serves a group; makes `__consumer_offsets` when the first client asks. */
import type { Io } from '../../io/io.ts'
import type { findCoordinator } from '../../protocol/apis/10-find-coordinator.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import type { Client, Endpoint, OffsetsTopicPort } from '../ports.ts'
import type { GroupShard } from './group-shard.ts'

/** Share coordinators are type 2. */
const KeyType = { group: 0, transaction: 1 } as const

/** As Kafka answers with an error: no broker. */
const NOBODY: Endpoint = { brokerId: -1, host: '', port: -1 }
/** How long a request waits for the topic and for its group's partition to be loaded, rather than make the client retry. */
const PATIENCE_MS = 1_000

type Found = { readonly errorCode: ErrorCode; readonly endpoint: Endpoint }

export class CoordinatorFinder {
  readonly #io: Io
  readonly #topic: OffsetsTopicPort
  readonly #partitionOf: (groupId: string) => number
  readonly #shardAt: (partitionIndex: number) => GroupShard | undefined

  constructor(
    io: Io,
    topic: OffsetsTopicPort,
    partitionOf: (groupId: string) => number,
    shardAt: (partitionIndex: number) => GroupShard | undefined,
  ) {
    this.#io = io
    this.#topic = topic
    this.#partitionOf = partitionOf
    this.#shardAt = shardAt
  }

  async find(
    request: RequestOf<typeof findCoordinator>,
    client: Client,
  ): Promise<ResponseInput<typeof findCoordinator>> {
    const isBatch = client.apiVersion >= 4
    const keys = isBatch ? request.coordinatorKeys : [request.key]
    const refusal = refusalOf(request.keyType, isBatch)
    if (refusal === ErrorCode.NONE && keys.length > 0) await this.#prepare()
    const found: Found[] = []
    for (const key of keys) {
      const endpoint = refusal === ErrorCode.NONE ? await this.#leaderOf(key, client) : undefined
      const errorCode =
        refusal !== ErrorCode.NONE || endpoint ? refusal : ErrorCode.COORDINATOR_NOT_AVAILABLE
      found.push({ errorCode, endpoint: endpoint ?? NOBODY })
    }
    return isBatch ? batchAnswer(keys, found) : singleAnswer(found[0])
  }

  /** Kafka answers COORDINATOR_NOT_AVAILABLE while it makes the topic; waiting saves the first group its back-off. */
  async #prepare(): Promise<void> {
    if (this.#topic.partitionCount() !== undefined) return
    await this.#atMost(this.#topic.create())
  }

  async #leaderOf(groupId: string, client: Client): Promise<Endpoint | undefined> {
    if (this.#topic.partitionCount() === undefined) return undefined
    const partitionIndex = this.#partitionOf(groupId)
    const shard = this.#shardAt(partitionIndex)
    if (shard?.state === 'loading') await this.#atMost(shard.loaded)
    return this.#topic.leaderOf(partitionIndex, client.listenerName)
  }

  #atMost(done: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#io.timers.schedule(PATIENCE_MS, resolve)
      const settle = (): void => {
        timer.cancel()
        resolve()
      }
      done.then(settle, settle)
    })
  }
}

const NO_TRANSACTIONS = 'transactions are not served by this broker'
const messages = new Map<ErrorCode, string>([
  [ErrorCode.COORDINATOR_NOT_AVAILABLE, 'no broker coordinates this key now: try again'],
  [ErrorCode.INVALID_REQUEST, 'this broker knows no coordinators of this type'],
  [ErrorCode.UNSUPPORTED_VERSION, NO_TRANSACTIONS],
  [ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, NO_TRANSACTIONS],
])

/**
 * Transactions are not served yet, and a client must take that as final. Java, which asks in batches, does so with every
 * code that it does not expect here, and shows the message beside it. librdkafka and others ask for one key, and go on
 * asking until their time is over, but for two codes: this one, with the message, is the nearer.
 */
function refusalOf(keyType: number, isBatch: boolean): ErrorCode {
  if (keyType === KeyType.group) return ErrorCode.NONE
  if (keyType === KeyType.transaction) {
    return isBatch ? ErrorCode.UNSUPPORTED_VERSION : ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  }
  // Share coordinators are not served: Kafka answers the same where share groups are switched off.
  return ErrorCode.INVALID_REQUEST
}

function batchAnswer(
  keys: readonly string[],
  found: readonly Found[],
): ResponseInput<typeof findCoordinator> {
  const coordinators = keys.map((key, index) => {
    const { errorCode, endpoint } = found[index] ?? { errorCode: ErrorCode.NONE, endpoint: NOBODY }
    const { brokerId, host, port } = endpoint
    const errorMessage = messages.get(errorCode) ?? ''
    return { key, nodeId: brokerId, host, port, errorCode, errorMessage }
  })
  return { errorCode: 0, errorMessage: null, nodeId: 0, host: '', port: 0, coordinators }
}

function singleAnswer(found: Found | undefined): ResponseInput<typeof findCoordinator> {
  const { errorCode, endpoint } = found ?? { errorCode: ErrorCode.NONE, endpoint: NOBODY }
  const { brokerId, host, port } = endpoint
  const errorMessage = messages.get(errorCode) ?? 'NONE'
  return { errorCode, errorMessage, nodeId: brokerId, host, port, coordinators: [] }
}
