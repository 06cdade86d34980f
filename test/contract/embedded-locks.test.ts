import t from 'tap'
import { EmbeddedLocks } from '../../src/cluster/lock.ts'
import { locksContract } from './locks.ts'

locksContract(t, async () => {
  const locks = new EmbeddedLocks()
  return { locks, second: locks, remove: async () => locks.close() }
})
