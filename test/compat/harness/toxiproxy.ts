// Shopify's toxiproxy, through which sarama's tests reach a broker and break the way to it.
import { type ChildProcess, spawn } from 'node:child_process'
import { freePorts } from './free-ports.ts'
import { until } from './waiting.ts'

/** A running toxiproxy with proxies of one broker. */
export class Toxiproxy {
  /** Where it takes orders. */
  readonly url: string
  readonly #child: ChildProcess

  constructor(program: string, port: number) {
    this.url = `http://127.0.0.1:${port}`
    this.#child = spawn(program, ['-host', '127.0.0.1', '-port', String(port)], { stdio: 'ignore' })
  }

  static async start(program: string): Promise<Toxiproxy> {
    const [port = 0] = await freePorts(1)
    const proxy = new Toxiproxy(program, port)
    const asked = async () => (await fetch(`${proxy.url}/version`).catch(() => undefined))?.ok
    await until('toxiproxy serves', asked, (ok) => ok === true)
    return proxy
  }

  /**
   * @param upstream host:port; nobody need listen there yet
   * @returns the proxy's own host:port
   */
  async add(name: string, upstream: string): Promise<string> {
    const body = JSON.stringify({ name, listen: '127.0.0.1:0', upstream, enabled: true })
    const response = await fetch(`${this.url}/proxies`, { method: 'POST', body })
    if (!response.ok) throw new Error(`toxiproxy refused a proxy: ${await response.text()}`)
    return ((await response.json()) as { listen: string }).listen
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve()
      this.#child.once('exit', () => resolve())
      this.#child.kill('SIGKILL')
    })
  }
}
