import { basename } from 'node:path'
import t, { type Test } from 'tap'
import { startTestBroker, type TestBroker } from './broker.ts'
import { startDriver } from './client-drivers.ts'
import { clientLimits } from './client-limits.ts'
import { type ClientName, type Driver, Unsupported } from './driver.ts'
import { MatrixNotes } from './matrix.ts'
import { uniqueName } from './waiting.ts'

export { uniqueName, until } from './waiting.ts'

/** What a suite of checks needs: one client against one broker. */
export type Context = {
  readonly broker: TestBroker
  readonly driver: Driver
  /** A topic name that no other test uses, also on a broker that outlives the run. */
  topic(): string
  /** A test that shows one cell of the matrix. It is skipped where the client has no such call. */
  feature(name: string, check: (t: Test) => Promise<unknown>): Promise<void>
}

export type Suite = (context: Context) => Promise<void>

/** Runs suites with one client; the test file's name keeps its notes for the matrix apart. */
export async function runSuites(client: ClientName, url: string, suites: readonly Suite[]) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker()
  const driver = startDriver(client, broker.bootstrap)
  if (!driver) {
    await broker.stop()
    t.pass('nothing to run', { skip: `${client} is missing` })
    return
  }
  const notes = new MatrixNotes(client, driver.version)
  t.teardown(async () => {
    await driver.stop()
    await broker.stop()
    notes.write(basename(url).replace(/\.test\.[jt]s$/, ''))
  })
  const context = { broker, driver, topic: uniqueName, feature: featureOf(notes) }
  for (const suite of suites) await suite(context)
}

/** A test that notes in the matrix how it went. */
export function featureOf(notes: MatrixNotes) {
  return async (name: string, check: (t: Test) => Promise<unknown>): Promise<void> => {
    await t.test(name, async (t) => {
      const limit = clientLimits[notes.client]?.[name]
      if (limit) {
        notes.note(name, 'limit')
        t.pass(name, { skip: `a limit of this client: ${limit}` })
        return
      }
      try {
        await check(t)
        notes.note(name, t.passing() ? 'yes' : 'no')
      } catch (error) {
        notes.note(name, error instanceof Unsupported ? 'none' : 'no')
        if (error instanceof Unsupported)
          t.pass(name, { skip: `not in this client (${error.message})` })
        else t.error(error)
      }
    })
  }
}
