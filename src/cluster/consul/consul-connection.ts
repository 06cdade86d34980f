import { resolve } from 'node:path'
import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { BrokerConfig } from '../../config/broker-config.ts'
import { parseConsulAddress } from '../../config/consul-settings.ts'
import type { Io } from '../../io/io.ts'
import { ConsulKeys, decodeValue, encodeValue } from './consul-keys.ts'
import { ConsulMetadataStore } from './consul-metadata-store.ts'
import { ConsulFailure, type ConsulPort } from './consul-port.ts'
import {
  type CopyComparison,
  compareCopy,
  type Recovered,
  recoverFromCopy,
} from './consul-recovery.ts'
import { Pauses } from './pauses.ts'
import { storeError } from './store-call.ts'

/** The settings that say where Consul is and how to speak to it. */
export type ConsulConfig = Pick<
  BrokerConfig,
  | 'lmq.consul.address'
  | 'lmq.consul.prefix'
  | 'lmq.consul.request.timeout.ms'
  | 'lmq.consul.service.name'
  | 'lmq.consul.session.ttl.ms'
  | 'lmq.consul.start.timeout.ms'
  | 'lmq.consul.tls.ca'
  | 'lmq.consul.tls.cert'
  | 'lmq.consul.tls.key'
  | 'lmq.consul.tls.verify'
  | 'lmq.consul.token'
>

type Around = { readonly io: Io; readonly config: ConsulConfig; readonly logger: Logger }

/** What a starting broker asks of Consul, in this order: which cluster it belongs to, then that cluster's store. */
export class ConsulConnection {
  readonly #io: Io
  readonly #port: ConsulPort
  readonly #config: ConsulConfig
  readonly #logger: Logger
  readonly #pauses: Pauses
  #isGivenAway = false

  constructor(port: ConsulPort, { io, config, logger }: Around) {
    this.#io = io
    this.#port = port
    this.#config = config
    this.#logger = logger
    this.#pauses = new Pauses(io, true)
  }

  /** Sends nothing yet. The package that speaks to Consul is loaded here. @throws LMQ_CONFIG_INVALID */
  static async open(around: Around): Promise<ConsulConnection> {
    const { io, config } = around
    const addresses = config['lmq.consul.address'].map((text) => {
      const address = parseConsulAddress(text)
      if (address) return address
      throw new LmqError('LMQ_CONFIG_INVALID', { key: 'lmq.consul.address', value: text })
    })
    const read = (key: 'lmq.consul.tls.ca' | 'lmq.consul.tls.cert' | 'lmq.consul.tls.key') =>
      readPem(io, key, config[key])
    const tls = {
      ca: read('lmq.consul.tls.ca'),
      cert: read('lmq.consul.tls.cert'),
      key: read('lmq.consul.tls.key'),
      verify: config['lmq.consul.tls.verify'],
    }
    const { ConsulHttp } = await import('./consul-http.ts')
    const port = new ConsulHttp({
      addresses,
      token: config['lmq.consul.token'] ?? undefined,
      tls,
      timeoutMs: config['lmq.consul.request.timeout.ms'],
    })
    return new ConsulConnection(port, around)
  }

  /**
   * The id of the cluster that brokers belong to which are not told one: the first of them chooses, for all.
   *
   * @param proposal what it is when nobody has chosen before
   * @throws LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED
   */
  agreeClusterId(proposal: string): Promise<string> {
    const key = `${this.#config['lmq.consul.prefix']}/default`
    return this.#retrying(async () => {
      for (;;) {
        const { pair } = await this.#port.get(key, { consistent: true })
        if (pair) return decodeValue<{ clusterId: string }>(key, pair.value).json.clusterId
        const value = encodeValue({ clusterId: proposal })
        await this.#port.transaction([{ verb: 'cas', key, value, modifyIndex: 0 }])
      }
    })
  }

  /**
   * The store of a cluster; it has this connection from now on, and closes it.
   *
   * @param folder for this broker's copy of the metadata log
   * @throws as `ConsulMetadataStore.open`
   */
  openStore(clusterId: string, folder: string | undefined): Promise<ConsulMetadataStore> {
    this.#isGivenAway = true
    return ConsulMetadataStore.open({
      io: this.#io,
      port: this.#port,
      prefix: this.#config['lmq.consul.prefix'],
      clusterId,
      folder,
      logger: this.#logger,
      sessionTtlMs: this.#config['lmq.consul.session.ttl.ms'],
      startTimeoutMs: this.#config['lmq.consul.start.timeout.ms'],
      serviceName: this.#config['lmq.consul.service.name'],
    })
  }

  /**
   * Writes a cluster's metadata into Consul anew, from the copy of one broker: after Consul was emptied, or restored
   * from an older copy. The broker whose copy it is must be stopped.
   *
   * @throws LMQ_STORE_CORRUPT when there is no copy; LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED
   */
  recover(clusterId: string, folder: string): Promise<Recovered> {
    return recoverFromCopy(this.#recoveryOf(clusterId, folder)).catch((error: unknown) => {
      throw storeError(error)
    })
  }

  /**
   * What a `recover` from that copy would replace. Changes nothing; the broker must be stopped.
   *
   * @throws LMQ_STORE_CORRUPT when there is no copy; LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED
   */
  compare(clusterId: string, folder: string): Promise<CopyComparison> {
    return this.#retrying(() => compareCopy(this.#recoveryOf(clusterId, folder)))
  }

  #recoveryOf(clusterId: string, folder: string) {
    const keys = new ConsulKeys(this.#config['lmq.consul.prefix'], clusterId)
    const sessionTtlMs = this.#config['lmq.consul.session.ttl.ms']
    return { io: this.#io, port: this.#port, keys, folder, logger: this.#logger, sessionTtlMs }
  }

  /** Addresses of brokers, host:port, those that are well first; of one cluster, or of all that are there. */
  async discover(clusterId?: string): Promise<string[]> {
    const name = this.#config['lmq.consul.service.name']
    const instances = await this.#retrying(() => this.#port.serviceInstances(name))
    const newest = new Map<string, (typeof instances)[number]>()
    for (const instance of instances) {
      if (clusterId !== undefined && instance.meta['cluster-id'] !== clusterId) continue
      // A broker that moved to another agent may stand twice in the catalogue: its latest registration counts.
      const other = newest.get(instance.id)
      if (!other || epochOf(instance.meta) > epochOf(other.meta)) newest.set(instance.id, instance)
    }
    return [...newest.values()]
      .sort((a, b) => Number(b.passing) - Number(a.passing))
      .map(({ address, port }) => `${address.includes(':') ? `[${address}]` : address}:${port}`)
  }

  /** No effect once a store has it. */
  async close(): Promise<void> {
    this.#pauses.stop()
    if (!this.#isGivenAway) await this.#port.close()
  }

  async #retrying<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    const giveUpMs = this.#io.monotonic.nowMs() + this.#config['lmq.consul.start.timeout.ms']
    for (let failures = 0; ; ) {
      try {
        return await call()
      } catch (error) {
        if (!(error instanceof ConsulFailure)) throw error
        const isFinal = error.kind === 'invalid' || error.kind === 'denied' || this.#pauses.stopped
        if (isFinal || this.#io.monotonic.nowMs() >= giveUpMs) throw storeError(error)
        if (++failures === 3) {
          this.#logger.warn({ error: error.message }, 'waiting for Consul to answer')
        }
        await this.#pauses.afterFailure(failures)
      }
    }
  }
}

const epochOf = (meta: Readonly<Record<string, string>>): number =>
  Number(meta['broker-epoch'] ?? -1)

function readPem(io: Io, key: string, path: string | null): string | undefined {
  if (path === null) return undefined
  try {
    return io.disk.readFileSync(resolve(path)).toString()
  } catch (cause) {
    throw new LmqError('LMQ_CONFIG_INVALID', { key, value: path }, cause)
  }
}
