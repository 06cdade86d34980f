import http from 'node:http'
import type { Server, Socket } from 'node:net'
import type { HttpServerOptions } from './http-server.ts'
import { MetricsPage } from './metrics-page.ts'

/** What a client may send before it is cut off. */
const MAX_HEADER_BYTES = 16 * 1024
const TIMEOUT_MS = 10_000
/** Further ones are closed at once. */
const MAX_CONNECTIONS = 256

/** Answers HTTP requests. It is loaded by the first one. */
export class HttpService {
  readonly #server: http.Server

  private constructor(server: http.Server) {
    this.#server = server
  }

  /** Takes a listening port over, with the connections that came already and are paused. */
  static async takeOver(
    port: Server,
    connections: readonly Socket[],
    options: HttpServerOptions,
  ): Promise<HttpService> {
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
    server.maxConnections = MAX_CONNECTIONS
    await new Promise<void>((resolve) => server.listen(port, resolve))
    // The Kafka listeners keep the process alive; this one must not do so alone.
    server.unref()
    for (const socket of connections) {
      server.emit('connection', socket)
      socket.resume()
    }
    return new HttpService(server)
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
