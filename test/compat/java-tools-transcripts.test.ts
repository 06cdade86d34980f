// Goal: a person who works with Kafka's command-line tools sees what Kafka shows. Method: many commands in one JVM; what each
// prints, but for ids, ports and times, is what the same command printed against Apache Kafka (see java-tools/session.ts).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { givenBootstrap } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { featureOf } from './harness/context.ts'
import { MatrixNotes } from './harness/matrix.ts'
import { cluster, elections, reassignments } from './java-tools/cluster.ts'
import { configSources } from './java-tools/config-sources.ts'
import { clientMetrics, configs } from './java-tools/configs.ts'
import { files, fillFiles } from './java-tools/files.ts'
import { groups, resets } from './java-tools/groups.ts'
import { load, verifiable } from './java-tools/load.ts'
import { loadOptions } from './java-tools/load-options.ts'
import { records } from './java-tools/records.ts'
import { startServer } from './java-tools/server.ts'
import { isRecording, Session } from './java-tools/session.ts'
import { topics } from './java-tools/topics.ts'

/** The last one: the server has ended. */
async function dump(t: Test, session: Session): Promise<void> {
  await fillFiles(session)
  await server.end()
  await files(t, session, server.dataFolder)
}

const scenarios: Record<string, readonly [string, (t: Test, session: Session) => Promise<void>]> = {
  topics: ['TopicCommand', topics],
  groups: ['ConsumerGroupCommand, GroupsCommand: all views', groups],
  resets: ['ConsumerGroupCommand: resets', resets],
  configs: ['ConfigCommand: all entities', configs],
  'config-sources': ['ConfigCommand: files, loggers, SCRAM', configSources],
  'client-metrics': ['ClientMetricsCommand', clientMetrics],
  records: ['GetOffsetShell, DeleteRecordsCommand, LogDirsCommand: all options', records],
  cluster: [
    'BrokerApiVersionsCommand, FeatureCommand, MetadataQuorumCommand, ClusterTool',
    cluster,
  ],
  elections: ['LeaderElectionCommand', elections],
  reassignments: ['ReassignPartitionsCommand', reassignments],
  load: ['ProducerPerformance, ConsumerPerformance, EndToEndLatency', load],
  'load-options': [
    'ProducerPerformance, ConsumerPerformance, EndToEndLatency: options',
    loadOptions,
  ],
  verifiable: ['VerifiableProducer, VerifiableConsumer, ReplicaVerificationTool', verifiable],
  files: ['DumpLogSegments: decoders, index checks', dump],
}

/** One of them, when this names it: for work on a scenario. */
const only = process.env['LMQ_SCENARIO']

t.setTimeout(0) // the runner limits the file
const server = await startServer()
const driver = startDriver('Java', server.bootstrap)
const folder = mkdtempSync(join(tmpdir(), 'lmq-tools-'))
t.teardown(async () => {
  await driver?.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})
if (driver && !givenBootstrap) {
  const notes = new MatrixNotes('Kafka tools (Java)', driver.version)
  const feature = featureOf(notes)
  const session = new Session(driver, server, folder)
  for (const [name, [title, scenario]] of Object.entries(scenarios)) {
    if (only && only !== name) continue
    await feature(title, async (t) => {
      session.open(name)
      await scenario(t, session)
      session.close(t, name)
    })
  }
  if (!isRecording) notes.write('java-tools-transcripts')
} else t.pass('Kafka tools', { skip: 'java is missing' })
