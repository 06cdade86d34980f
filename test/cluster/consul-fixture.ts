// Stores on a Consul for tests, with short times.
import { type Logger, silentLogger } from '../../src/base/logger.ts'
import { ConsulHttp, type ConsulHttpOptions } from '../../src/cluster/consul/consul-http.ts'
import { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import type { ConsulPort } from '../../src/cluster/consul/consul-port.ts'
import type { Leadership, MetadataStore } from '../../src/cluster/metadata-store.ts'
import { createNodeIo } from '../../src/io/node-io.ts'

export const io = createNodeIo()

export function portTo(
  addresses: readonly string[],
  options: Partial<ConsulHttpOptions> = {},
): ConsulHttp {
  return new ConsulHttp({
    addresses: addresses.map((address) => {
      const [host = '', port] = address.split(':')
      return { host, port: Number(port), secure: options.tls !== undefined }
    }),
    token: undefined,
    tls: undefined,
    timeoutMs: 1_500,
    ...options,
  })
}

export type StoreOptions = {
  readonly port: ConsulPort
  readonly clusterId: string
  readonly folder?: string
  readonly logger?: Logger
  readonly sessionTtlMs?: number
  readonly cleanupDelayMs?: number
  readonly startTimeoutMs?: number
}

export function openStore(options: StoreOptions): Promise<ConsulMetadataStore> {
  const { port, clusterId, folder, logger = silentLogger, sessionTtlMs = 10_000 } = options
  const { cleanupDelayMs = 30_000, startTimeoutMs = 10_000 } = options
  return ConsulMetadataStore.open({
    ...{ io, port, prefix: 'lmq', clusterId, folder, logger, sessionTtlMs, cleanupDelayMs },
    ...{ startTimeoutMs, watchWaitMs: 1_000 },
  })
}

export const candidate = (brokerId: number) => ({ brokerId, incarnationId: `run-of-${brokerId}` })

export async function win(store: MetadataStore, brokerId = 1): Promise<Leadership> {
  const leadership = await store.lead(candidate(brokerId))
  if (!leadership) throw new Error('the leadership is taken')
  return leadership
}

/** Waits for what must come, for at most 30 s. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  what = 'a condition',
): Promise<void> {
  const giveUpMs = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > giveUpMs) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
