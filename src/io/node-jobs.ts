import type { Worker } from 'node:worker_threads'
import { LmqError, type OperatingErrorCode } from '../base/errors.ts'
import type { Jobs } from './io.ts'

/** An idle worker thread is given back after this long: it holds about 10 MB. */
const idleMs = 30_000

export type JobRequest = { id: number; module: string; input: unknown }
export type JobReply =
  | { id: number; ok: true; output: unknown }
  | {
      id: number
      ok: false
      message: string
      code?: OperatingErrorCode
      facts?: object
      errno?: string
    }

type Waiting = { resolve(output: unknown): void; reject(error: unknown): void }

/** One worker thread, started at the first job; jobs run one after the other. */
export class NodeJobs implements Jobs {
  #worker: Promise<Worker> | undefined
  #nextId = 0
  #idle: NodeJS.Timeout | undefined
  #closed = false
  readonly #waiting = new Map<number, Waiting>()

  async run<Output>(module: URL, input: unknown): Promise<Output> {
    if (this.#closed) throw new LmqError('LMQ_SHUTTING_DOWN')
    clearTimeout(this.#idle)
    const id = this.#nextId++
    const output = new Promise<unknown>((resolve, reject) =>
      this.#waiting.set(id, { resolve, reject }),
    )
    this.#worker ??= this.#start()
    const worker = await this.#worker
    worker.ref()
    const request: JobRequest = { id, module: module.href, input }
    worker.postMessage(request)
    return (await output) as Output
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#stop()
    this.#failAll(new LmqError('LMQ_SHUTTING_DOWN'))
  }

  async #start(): Promise<Worker> {
    const { Worker } = await import('node:worker_threads')
    const worker = startWorker(Worker)
    worker.unref()
    worker.on('message', (reply: JobReply) => this.#take(worker, reply))
    worker.on('error', (error) => this.#failAll(error))
    worker.on('exit', () => {
      this.#worker = undefined
      this.#failAll(new LmqError('LMQ_SHUTTING_DOWN'))
    })
    return worker
  }

  #take(worker: Worker, reply: JobReply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (this.#waiting.size === 0) {
      worker.unref()
      this.#idle = setTimeout(() => void this.#stop(), idleMs)
      this.#idle.unref()
    }
    if (reply.ok) waiting?.resolve(reply.output)
    else waiting?.reject(errorOf(reply))
  }

  #failAll(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#idle)
    const worker = await this.#worker
    await worker?.terminate()
  }
}

function errorOf(reply: JobReply & { ok: false }): Error {
  if (reply.code) return new LmqError(reply.code, { ...reply.facts })
  const error: NodeJS.ErrnoException = new Error(reply.message)
  if (reply.errno !== undefined) error.code = reply.errno
  return error
}

/**
 * The compiled worker as it is. From sources, a loader that the main thread was started with may not reach into worker
 * threads (tsx does not), so the worker brings it itself when TypeScript is not understood.
 */
function startWorker(WorkerClass: typeof Worker): Worker {
  if (import.meta.url.endsWith('.js')) {
    return new WorkerClass(new URL('./job-worker.js', import.meta.url))
  }
  const url = JSON.stringify(new URL('./job-worker.ts', import.meta.url).href)
  // What is evaluated has no place of its own: a bare name would be looked up from the working folder.
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'))
  const bootstrap = `import(${url}).catch(async (error) => {
    if (error.code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error
    const tsx = await import(${tsx})
    tsx.register()
    await import(${url} + '?again') // a module that failed to load is not tried twice under one name
  })`
  return new WorkerClass(bootstrap, { eval: true })
}
