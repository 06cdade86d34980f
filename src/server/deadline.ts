import { LmqError } from '../base/errors.ts'
import type { Timers } from '../io/io.ts'

/**
 * Waits for work that a request may wait for at most `timeoutMs`. The work goes on behind it. 0 and less: as long as it
 * takes, since clients write 0 when they have no opinion.
 *
 * @throws LMQ_REQUEST_TIMED_OUT
 */
export function withDeadline<Result>(
  timers: Timers,
  timeoutMs: number,
  work: Promise<Result>,
): Promise<Result> {
  if (timeoutMs <= 0) return work
  return new Promise((resolve, reject) => {
    const timer = timers.schedule(timeoutMs, () =>
      reject(new LmqError('LMQ_REQUEST_TIMED_OUT', { timeoutMs })),
    )
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
