import { LmqError } from '../../base/errors.ts'
import { ConsulFailure } from './consul-port.ts'
import type { Pauses } from './pauses.ts'

const codes = {
  unknown: 'LMQ_STORE_UNREACHABLE',
  unreachable: 'LMQ_STORE_UNREACHABLE',
  denied: 'LMQ_STORE_DENIED',
  invalid: 'LMQ_STORE_REFUSED',
} as const

/** What a failure of Consul means to the store's callers: LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED, LMQ_STORE_REFUSED. */
export function storeError(error: unknown): unknown {
  if (!(error instanceof ConsulFailure)) return error
  return new LmqError(codes[error.kind], { store: 'Consul' }, error)
}

/** @throws LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED, LMQ_STORE_REFUSED in place of a port's failure */
export async function storeCall<Answer>(call: Promise<Answer>): Promise<Answer> {
  try {
    return await call
  } catch (error) {
    throw storeError(error)
  }
}

/**
 * Calls again after a failure, for what may be done twice.
 *
 * @param attempts at most; ended early when `pauses` stop, and by what no repetition mends
 * @throws LMQ_STORE_UNREACHABLE, LMQ_STORE_DENIED, LMQ_STORE_REFUSED; what else the call throws
 */
export async function retrying<Answer>(
  pauses: Pauses,
  attempts: number,
  call: () => Promise<Answer>,
  longestPauseMs?: number,
): Promise<Answer> {
  for (let failures = 0; ; ) {
    try {
      return await call()
    } catch (error) {
      failures++
      const isFinal = !(error instanceof ConsulFailure) || error.kind === 'invalid'
      if (isFinal || failures >= attempts || pauses.stopped) throw storeError(error)
      await pauses.afterFailure(failures, longestPauseMs)
    }
  }
}
