// What every lock service promises: hold, lose, be deposed, write late. One file per implementation calls `locksContract`.
import type { Test } from 'tap'
import type { HeldLock, Locks } from '../../src/cluster/lock.ts'

export type LocksUnderTest = {
  readonly locks: Locks
  /** The same locks as a second broker has them. */
  readonly second: Locks
  remove(): Promise<void>
}

const broker1 = { brokerId: 1, incarnationId: 'one' }
const broker2 = { brokerId: 2, incarnationId: 'two' }
const bytes = (text: string) => Buffer.from(text)

async function win(locks: Locks, name: string, candidate = broker1): Promise<HeldLock> {
  const lock = await locks.acquire(name, candidate)
  if (!lock) throw new Error('the lock is taken')
  return lock
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2))
}

export function locksContract(t: Test, open: (t: Test) => Promise<LocksUnderTest>): void {
  const check = (name: string, body: (t: Test, under: LocksUnderTest) => Promise<void>) =>
    t.test(`lock: ${name}`, async (t) => {
      const under = await open(t)
      try {
        await body(t, under)
      } finally {
        await under.remove()
      }
    })

  check('a lock that nobody ever had', async (t, { locks }) => {
    t.strictSame(await locks.state('clean-up'), { epoch: 0, holder: undefined, value: undefined })
  })

  check('one holds it at a time, epochs rise', async (t, { locks, second }) => {
    const first = await win(locks, 'clean-up')
    t.ok(first.held)
    t.match(await second.state('clean-up'), { epoch: first.epoch, holder: broker1 })
    t.equal(await second.acquire('clean-up', broker2), undefined)
    t.ok(await second.acquire('another', broker2), 'other names are other locks')
    let told = 0
    first.onLost(() => told++)
    await first.release()
    await first.release()
    t.equal(told, 1)
    t.notOk(first.held)
    t.equal((await second.state('clean-up')).holder, undefined)
    const next = await win(second, 'clean-up', broker2)
    t.ok(next.epoch > first.epoch)
  })

  check('of many that race one wins', async (t, { locks, second }) => {
    const all = await Promise.all([
      locks.acquire('clean-up', broker1),
      second.acquire('clean-up', broker2),
      locks.acquire('clean-up', { brokerId: 3, incarnationId: 'three' }),
    ])
    t.equal(all.filter(Boolean).length, 1)
  })

  check('what is written under it stays for the next one', async (t, { locks, second }) => {
    const lock = await win(locks, 'clean-up')
    await locks.write(lock, bytes('a'))
    await locks.write(lock, bytes('b'))
    t.equal((await second.state('clean-up')).value?.toString(), 'b')
    await lock.release()
    const next = await win(second, 'clean-up', broker2)
    t.equal((await second.state('clean-up')).value?.toString(), 'b')
    await second.write(next, bytes(''))
    t.equal((await locks.state('clean-up')).value?.length, 0)
  })

  check('who is deposed is told and writes nothing, however late', async (t, { locks, second }) => {
    const deposed = await win(locks, 'clean-up')
    await locks.write(deposed, bytes('before'))
    let told = 0
    deposed.onLost(() => told++)
    await second.depose('clean-up', deposed.epoch)
    const next = await win(second, 'clean-up', broker2)
    await t.rejects(locks.write(deposed, bytes('late')), { code: 'LMQ_LOCK_LOST' })
    await second.write(next, bytes('after'))
    await t.rejects(locks.write(deposed, bytes('later')), { code: 'LMQ_LOCK_LOST' })
    t.equal((await locks.state('clean-up')).value?.toString(), 'after')
    await until(() => told > 0)
    t.equal(told, 1)
    t.notOk(deposed.held)
  })

  check('deposing an epoch that is over changes nothing', async (t, { locks, second }) => {
    const first = await win(locks, 'clean-up')
    await first.release()
    const next = await win(locks, 'clean-up')
    await second.depose('clean-up', first.epoch)
    await second.depose('never-held', 1)
    await locks.write(next, bytes('still'))
    t.ok(next.held)
  })

  check('a released lock writes nothing', async (t, { locks }) => {
    const lock = await win(locks, 'clean-up')
    await lock.release()
    await t.rejects(locks.write(lock, bytes('late')), { code: 'LMQ_LOCK_LOST' })
    t.equal((await locks.state('clean-up')).value, undefined)
  })
}
