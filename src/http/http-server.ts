import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Metric } from '../metrics/metric.ts'
import type { HttpService } from './http-service.ts'

export type HttpServerOptions = {
  readonly host: string
  /** 0 = any free port */
  readonly port: number
  readonly metrics: readonly Metric[]
  /** Metrics whose names come and go: asked for at every scrape. */
  readonly changingMetrics?: () => readonly Metric[]
  /** Whether the broker serves; the facts are shown. */
  health(): { readonly healthy: boolean; readonly facts: Readonly<Record<string, unknown>> }
  readonly logger: Pick<Logger, 'warn'>
}

/**
 * The broker's HTTP port: `GET /healthz` for probes, `GET /metrics` for Prometheus. Nothing of HTTP is loaded before the
 * first connection: Node's own module takes more memory than a broker that nobody scrapes should pay.
 */
export class HttpServer {
  readonly #port: Server
  readonly #options: HttpServerOptions
  /** Came while the service is being loaded; paused. */
  #early: Socket[] = []
  /** Resolves to undefined when it could not be loaded. */
  #service: Promise<HttpService | undefined> | undefined
  /** `http://host:port` as it is really bound. */
  readonly address: string

  private constructor(port: Server, options: HttpServerOptions) {
    this.#port = port
    this.#options = options
    const { address, port: number, family } = port.address() as AddressInfo
    this.address = `http://${family === 'IPv6' ? `[${address}]` : address}:${number}`
    port.on('connection', (socket: Socket) => this.#take(socket))
  }

  /** @throws LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID */
  static async open(options: HttpServerOptions): Promise<HttpServer> {
    const { host, port } = options
    const server = net.createServer({ pauseOnConnect: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code === 'EADDRINUSE' ? 'LMQ_PORT_TAKEN' : 'LMQ_LISTENER_INVALID'
        reject(new LmqError(code, { setting: 'lmq.http.port', host, port }, error))
      })
      server.listen(port, host, resolve)
    })
    // The Kafka listeners keep the process alive; this one must not do so alone.
    server.unref()
    return new HttpServer(server, options)
  }

  async close(): Promise<void> {
    const service = await this.#service
    if (service) return service.close()
    await new Promise<void>((resolve) => this.#port.close(() => resolve()))
  }

  #take(socket: Socket): void {
    this.#early.push(socket)
    this.#service ??= this.#load()
  }

  /** A process that has no file left to open cannot load anything: whoever comes next tries again. */
  async #load(): Promise<HttpService | undefined> {
    try {
      const { HttpService } = await import('./http-service.ts')
      const service = await HttpService.takeOver(this.#port, this.#early, this.#options)
      this.#early = []
      return service
    } catch (error) {
      this.#options.logger.warn({ error: String(error) }, 'HTTP cannot be served now')
      for (const socket of this.#early) socket.destroy()
      this.#early = []
      this.#service = undefined
      return undefined
    }
  }
}
