// Goal: Kafka's tools move replicas between the log directories of a broker of LMQ as they do with Kafka's.
// Method: that of java-tools-transcripts, with a broker of two folders.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { givenBootstrap } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { featureOf } from './harness/context.ts'
import { MatrixNotes } from './harness/matrix.ts'
import { logDirs, moves } from './java-tools/log-dirs.ts'
import { startServer } from './java-tools/server.ts'
import { isRecording, Session } from './java-tools/session.ts'

t.setTimeout(0) // the runner limits the file
const folder = mkdtempSync(join(tmpdir(), 'lmq-tools-'))
const server = await startServer({ 'log.dirs': logDirs(folder).join() })
const driver = startDriver('Java', server.bootstrap)
t.teardown(async () => {
  await driver?.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})
if (driver && !givenBootstrap) {
  const notes = new MatrixNotes('Kafka tools (Java)', driver.version)
  const session = new Session(driver, server, folder)
  await featureOf(notes)('ReassignPartitionsCommand: log directories', async (t) => {
    session.open('log-dirs')
    await moves(t, session)
    session.close(t, 'log-dirs')
  })
  if (!isRecording) notes.write('java-tools-log-dirs')
} else t.pass('Kafka tools', { skip: 'java is missing' })
