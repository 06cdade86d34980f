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
  /** For the entries and snapshots to come, in order. */
  readonly lost: LostAnswer[]
  /** For attempts to win a lock. */
  readonly lostLeads: LostAnswer[]
  /** Runs before a transaction is carried out whose answer is not lost. */
  before: (() => Promise<void>) | undefined
  /** Nothing gets through. */
  isAway: boolean
  /** Transactions that happen later, and have not so far. */
  readonly late: (readonly ConsulOperation[])[]
}

const isHeadWrite = (operations: readonly ConsulOperation[]): boolean =>
  operations.some(({ key }) => key.endsWith('/head'))
const isLead = ([first, second]: readonly ConsulOperation[]): boolean =>
  first?.verb === 'cas' && second?.verb === 'lock'

export function faultyPort(port: ConsulPort): { port: ConsulPort; faults: Faults } {
  const late: (readonly ConsulOperation[])[] = []
  const faults: Faults = { lost: [], lostLeads: [], before: undefined, isAway: false, late }
  const transaction = async (
    operations: readonly ConsulOperation[],
  ): Promise<TransactionAnswer> => {
    if (!isHeadWrite(operations) && !isLead(operations)) return port.transaction(operations)
    const fate = (isLead(operations) ? faults.lostLeads : faults.lost).shift()
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
