import { parentPort } from 'node:worker_threads'
import { LmqError } from '../base/errors.ts'
import { createNodeIo } from './node-io.ts'
import type { JobReply, JobRequest } from './node-jobs.ts'

/** The far side of `NodeJobs`: imports the module that a job names and runs it with this thread's own `Io`. */
const io = createNodeIo()
let last: Promise<void> = Promise.resolve()

parentPort?.on('message', (request: JobRequest) => {
  last = last.then(async () => parentPort?.postMessage(await replyTo(request)))
})

async function replyTo({ id, module, input }: JobRequest): Promise<JobReply> {
  try {
    const job = (await import(module)) as {
      run(input: unknown, jobIo: typeof io): Promise<unknown>
    }
    return { id, ok: true, output: await job.run(input, io) }
  } catch (error) {
    if (error instanceof LmqError) {
      return { id, ok: false, message: error.message, code: error.code, facts: error.facts }
    }
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const errno = (error as NodeJS.ErrnoException).code
    return { id, ok: false, message, ...(typeof errno === 'string' && { errno }) }
  }
}
