import { startTestBroker } from '../harness/broker.ts'
import { makeRealKafka } from '../harness/real-kafka.ts'
import { isRecording } from './session.ts'

const settings = {
  'node.id': '1',
  'num.partitions': '1',
  'offsets.topic.num.partitions': '3',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
}

/** What the tools are run against: LMQ, or the Kafka whose answers are recorded. */
export type Server = {
  readonly bootstrap: string
  readonly dataFolder: string
  /** Ends it in order; its files stay. */
  end(): Promise<void>
  stop(): Promise<void>
}

export async function startServer(more: Readonly<Record<string, string>> = {}): Promise<Server> {
  const all = { ...settings, ...more }
  if (!isRecording) {
    const broker = await startTestBroker({ settings: all })
    const { bootstrap, dataFolder } = broker
    return { bootstrap, dataFolder, end: () => broker.shutDown(), stop: () => broker.stop() }
  }
  const kafka = await makeRealKafka(all)
  if (!kafka) throw new Error('there is no Java to record with')
  await kafka.start()
  const { bootstrap, dataFolder } = kafka
  // Kafka fixes min.insync.replicas for the cluster where it has eligible leader replicas; a broker of LMQ has it in its settings.
  const at = ['--bootstrap-server', bootstrap]
  const downgrade = ['downgrade', '--feature', 'eligible.leader.replicas.version=0']
  await kafka.tool('org.apache.kafka.tools.FeatureCommand', [...at, ...downgrade])
  const remove = ['--alter', '--broker-defaults', '--delete-config', 'min.insync.replicas']
  await kafka.tool('kafka.admin.ConfigCommand', [...at, ...remove])
  return { bootstrap, dataFolder, end: () => kafka.end(), stop: () => kafka.remove() }
}
