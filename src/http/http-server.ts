import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { LmqError } from '../base/errors.ts'
import type { Metric } from '../metrics/metric.ts'
import { MetricsPage } from './metrics-page.ts'

export type HttpServerOptions = {
  readonly host: string
  /** 0 = any free port */
  readonly port: number
  readonly metrics: readonly Metric[]
  /** Metrics whose names come and go: asked for at every scrape. */
  readonly changingMetrics?: () => readonly Metric[]
  /** Whether the broker serves; the facts are shown. */
  health(): { readonly healthy: boolean; readonly facts: Readonly<Record<string, unknown>> }
}

/** What a client may send before it is cut off. */
const MAX_HEADER_BYTES = 16 * 1024
const TIMEOUT_MS = 10_000

/** The broker's HTTP port: `GET /healthz` for probes, `GET /metrics` for Prometheus. */
export class HttpServer {
  readonly #server: http.Server
  /** `http://host:port` as it is really bound. */
  readonly address: string

  private constructor(server: http.Server) {
    this.#server = server
    const { address, port, family } = server.address() as AddressInfo
    this.address = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  /** @throws LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID */
  static async open(options: HttpServerOptions): Promise<HttpServer> {
    const { host, port } = options
    const page = new MetricsPage(options.metrics, options.changingMetrics)
    const server = http.createServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        requestTimeout: TIMEOUT_MS,
        headersTimeout: TIMEOUT_MS,
        keepAliveTimeout: TIMEOUT_MS,
      },
      (request, response) => {
        serve(request, response, page, options).catch(() => {
          if (!response.headersSent) response.statusCode = 500
          response.end()
        })
      },
    )
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code === 'EADDRINUSE' ? 'LMQ_PORT_TAKEN' : 'LMQ_LISTENER_INVALID'
        reject(new LmqError(code, { setting: 'lmq.http.port', host, port }, error))
      })
      server.listen(port, host, resolve)
    })
    // The Kafka listeners keep the process alive; this one must not do so alone.
    server.unref()
    return new HttpServer(server)
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }
}

async function serve(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  page: MetricsPage,
  { health }: HttpServerOptions,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0]
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    send(request, response, 405, 'text/plain; charset=utf-8', 'only GET is served\n')
  } else if (path === '/healthz') {
    const { healthy, facts } = health()
    const body = `${JSON.stringify({ status: healthy ? 'ok' : 'failing', ...facts })}\n`
    send(request, response, healthy ? 200 : 503, 'application/json', body)
  } else if (path === '/metrics') {
    const { contentType, text } = await page.render()
    send(request, response, 200, contentType, text)
  } else {
    const known = 'LMQ serves GET /healthz and GET /metrics here\n'
    send(request, response, 404, 'text/plain; charset=utf-8', known)
  }
}

function send(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  status: number,
  contentType: string,
  body: string,
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
