import type {
  ConsulAnswer,
  ConsulOperation,
  ConsulPair,
  TransactionAnswer,
} from '../../src/cluster/consul/consul-port.ts'

export type SimSession = {
  readonly id: string
  readonly ttlMs: number
  expiry: { cancel(): void } | undefined
}

/** The keys and sessions of a Consul, with the semantics of its transactions. Knows neither time nor network. */
export class ConsulState {
  readonly pairs = new Map<string, ConsulPair>()
  readonly sessions = new Map<string, SimSession>()
  index = 1

  copy(): ConsulState {
    const copy = new ConsulState()
    copy.index = this.index
    for (const [key, pair] of this.pairs) copy.pairs.set(key, pair)
    for (const [id, { ttlMs }] of this.sessions) {
      copy.sessions.set(id, { id, ttlMs, expiry: undefined })
    }
    return copy
  }

  /** With the index of the key, or that of everything where there is none. */
  get(key: string): ConsulAnswer {
    const pair = this.pairs.get(key)
    return { index: pair?.modifyIndex ?? this.index, pair }
  }

  list(prefix: string): ConsulPair[] {
    const names = [...this.pairs.keys()].filter((key) => key.startsWith(prefix)).sort()
    return names.map((key) => this.pairs.get(key) as ConsulPair)
  }

  /** Gives back what the session holds. */
  endSession(id: string): void {
    const session = this.sessions.get(id)
    if (!session) return
    session.expiry?.cancel()
    this.sessions.delete(id)
    this.index++
    for (const pair of [...this.pairs.values()]) {
      if (pair.sessionId !== id) continue
      const { key, value } = pair
      this.pairs.set(key, { key, value, modifyIndex: this.index, sessionId: undefined })
    }
  }

  transact(operations: readonly ConsulOperation[]): TransactionAnswer {
    const index = this.index + 1
    const before = new Map(this.pairs)
    const written = new Map<string, number>()
    for (const operation of operations) {
      const why = this.#carryOut(operation, index, written)
      if (why === undefined) continue
      this.pairs.clear()
      for (const [key, pair] of before) this.pairs.set(key, pair)
      return { committed: false, why }
    }
    this.index = index
    return { committed: true, modifyIndexes: written }
  }

  /** @returns why it fails */
  #carryOut(
    operation: ConsulOperation,
    index: number,
    written: Map<string, number>,
  ): string | undefined {
    const { verb, key } = operation
    const pair = this.pairs.get(key)
    const put = (value: Buffer, sessionId = pair?.sessionId): undefined => {
      this.pairs.set(key, { key, value, modifyIndex: index, sessionId })
      written.set(key, index)
    }
    switch (verb) {
      case 'set':
        return put(operation.value)
      case 'cas':
        if ((pair?.modifyIndex ?? 0) !== operation.modifyIndex) return 'index is stale'
        return put(operation.value)
      case 'lock': {
        const { sessionId, value } = operation
        if (!this.sessions.has(sessionId)) return 'invalid session'
        if (pair?.sessionId && pair.sessionId !== sessionId) return 'lock is already held'
        return put(value, sessionId)
      }
      case 'unlock': {
        if (pair?.sessionId !== operation.sessionId) return 'lock is not held'
        this.pairs.set(key, {
          key,
          value: operation.value,
          modifyIndex: index,
          sessionId: undefined,
        })
        written.set(key, index)
        return undefined
      }
      case 'check-session':
        return pair?.sessionId === operation.sessionId ? undefined : 'current session mismatch'
      case 'delete':
        this.pairs.delete(key)
        return undefined
      case 'delete-cas':
        if ((pair?.modifyIndex ?? 0) !== operation.modifyIndex) return 'index is stale'
        this.pairs.delete(key)
        return undefined
      case 'delete-tree':
        for (const name of [...this.pairs.keys()]) if (name.startsWith(key)) this.pairs.delete(name)
        return undefined
    }
  }
}
