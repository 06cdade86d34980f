// A ConsulPort that loses answers on demand, over any other one.
import {
  ConsulFailure,
  type ConsulOperation,
  type ConsulPort,
  type TransactionAnswer,
} from '../../src/cluster/consul/consul-port.ts'

/**
 * What becomes of a transaction whose answer is lost: it `happened`; it `happens later`, after the next one was carried
 * out; it happens `never`.
 */
export type LostAnswer = 'happened' | 'happens later' | 'never'

export type Faults = {
  /** For the transactions to come, in order. */
  readonly lost: LostAnswer[]
  /** Runs before a transaction is carried out whose answer is not lost. */
  before: (() => Promise<void>) | undefined
  /** Nothing gets through. */
  isAway: boolean
}

/** Faults apply to the transactions that `concerns` names: by default those that write an entry or a snapshot. */
export function faultyPort(
  port: ConsulPort,
  concerns = (operations: readonly ConsulOperation[]): boolean =>
    operations[0]?.verb === 'check-session' && operations[1]?.verb === 'cas',
): { port: ConsulPort; faults: Faults } {
  const faults: Faults = { lost: [], before: undefined, isAway: false }
  const late: (readonly ConsulOperation[])[] = []
  const transaction = async (
    operations: readonly ConsulOperation[],
  ): Promise<TransactionAnswer> => {
    if (!concerns(operations)) return port.transaction(operations)
    const fate = faults.lost.shift()
    if (fate === 'happened') await port.transaction(operations)
    if (fate === 'happens later') late.push(operations)
    if (fate !== undefined) throw new ConsulFailure('unknown', 'the answer was lost')
    const { before } = faults
    faults.before = undefined
    await before?.()
    const answer = await port.transaction(operations)
    for (const each of late.splice(0)) await port.transaction(each)
    return answer
  }
  const guarded = new Proxy(port, {
    get(target, name: keyof ConsulPort) {
      const call = name === 'transaction' ? transaction : target[name].bind(target)
      return (...args: unknown[]) => {
        if (faults.isAway && name !== 'close') {
          return Promise.reject(new ConsulFailure('unreachable', 'away'))
        }
        return (call as (...given: unknown[]) => unknown)(...args)
      }
    },
  })
  return { port: guarded, faults }
}
