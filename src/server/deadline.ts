import { LmqError } from '../base/errors.ts'
import type { Timers } from '../io/io.ts'

/**
 * Begins work that a request may wait for at most `timeoutMs`, and waits for it. The work goes on behind it. 0 and less:
 * the time is over before anything is begun (Kafka's controller drops what is past its deadline before it runs).
 *
 * @throws LMQ_REQUEST_TIMED_OUT
 */
export function withDeadline<Result>(
  timers: Timers,
  timeoutMs: number,
  begin: () => Promise<Result>,
): Promise<Result> {
  if (timeoutMs <= 0) return Promise.reject(new LmqError('LMQ_REQUEST_TIMED_OUT', { timeoutMs }))
  const work = begin()
  return new Promise((resolve, reject) => {
    const timer = timers.schedule(timeoutMs, () =>
      reject(new LmqError('LMQ_REQUEST_TIMED_OUT', { timeoutMs })),
    )
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
