// What stands before Consul: HTTP proxies, one for each server, that pass every call on, blocking queries too, and make of it
// what an overloaded or failing Consul does: it is late, answers 429 or 500, or does what it was asked and never says so.
import { once } from 'node:events'
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { pause } from './faults.ts'

export type ConsulCall = {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly body: string
  /** It waits for news. */
  readonly isBlocking: boolean
}

/** Nothing of it: Consul's own answer comes as soon as it can. */
export type Treatment = {
  /** Consul hears of it so much later, of a write also when its caller has given it up by then. */
  readonly heldMs?: number
  /** The answer comes so much later. */
  readonly lateMs?: number
  /** Whether Consul hears of it at all; it does when left out. */
  readonly isPassedOn?: boolean
  /** What comes in place of Consul's answer; `cut`: the end of the connection. */
  readonly instead?: 'cut' | { readonly status: number; readonly text: string }
  /** The connection ends when there was no answer for so long. */
  readonly cutAfterMs?: number
}

export class ConsulProxies {
  readonly #servers: Server[] = []
  readonly #agent = new Agent({ keepAlive: true })
  readonly #kinds = new Map<string, number>()
  #treatmentOf: (call: ConsulCall) => Treatment = () => ({})

  /** @param addresses of Consul servers, host:port. @returns those to use in their place */
  async open(addresses: readonly string[]): Promise<string[]> {
    for (const address of addresses) {
      const server = createServer((asked, answer) => {
        this.#serve(asked, answer, address).catch(() => asked.socket.destroy())
      })
      this.#servers.push(server)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
    return this.#servers.map((server) => {
      return `127.0.0.1:${(server.address() as { port: number }).port}`
    })
  }

  treat(treatmentOf: (call: ConsulCall) => Treatment): void {
    this.#treatmentOf = treatmentOf
  }

  heal(): void {
    this.treat(() => ({}))
  }

  /** How many calls of each kind came since the last time that this was asked. */
  counted(): ReadonlyMap<string, number> {
    const counts = new Map(this.#kinds)
    this.#kinds.clear()
    return counts
  }

  async close(): Promise<void> {
    this.#agent.destroy()
    for (const server of this.#servers) {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse, address: string): Promise<void> {
    const body = await bytesOf(asked)
    const { method = '', url: path = '' } = asked
    const call = { method, path, body: body.toString(), isBlocking: /[?&]index=/.test(path) }
    const kind = kindOf(call)
    this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1)
    const treatment = this.#treatmentOf(call)
    const { heldMs = 0, lateMs = 0, isPassedOn = true, instead, cutAfterMs } = treatment
    if (cutAfterMs !== undefined) {
      const cutting = setTimeout(() => asked.socket.destroy(), cutAfterMs)
      answer.once('close', () => clearTimeout(cutting))
    }
    if (heldMs > 0) await pause(heldMs)
    const said = isPassedOn ? await this.#ask(asked, answer, address, body) : undefined
    if (lateMs > 0) await pause(lateMs)
    if (instead === undefined && said) {
      answer.writeHead(said.statusCode ?? 500, said.headers)
      said.pipe(answer)
      return
    }
    said?.resume()
    if (instead === undefined || instead === 'cut') asked.socket.destroy()
    else answer.writeHead(instead.status, { 'content-type': 'text/plain' }).end(instead.text)
  }

  #ask(
    asked: IncomingMessage,
    answer: ServerResponse,
    address: string,
    body: Buffer,
  ): Promise<IncomingMessage> {
    const { method, url: path, headers } = asked
    const [host, port] = address.split(':')
    return new Promise((resolve, reject) => {
      const sent = request({ method, path, headers, host, port, agent: this.#agent }, resolve)
      sent.on('error', reject)
      sent.end(body)
      // Whoever is gone wants to know nothing any more; what it wanted done is done.
      if (method === 'GET') answer.once('close', () => sent.destroy())
    })
  }
}

function kindOf({ method, path, isBlocking }: ConsulCall): string {
  const [, version, ...parts] = path.replace(/\?.*/, '').split('/')
  const shown = parts.slice(0, parts[0] === 'kv' ? 1 : 2).join('/')
  return `${method} /${version}/${shown}${isBlocking ? ' (waits)' : ''}`
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
