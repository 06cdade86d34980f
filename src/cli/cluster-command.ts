import { Command } from 'commander'
import { describeApis, describeCluster, describeLogDirs } from '../client/admin-cluster.ts'
import { apiNames } from '../protocol/api-names.ts'
import { withRebalanceCommands } from './cluster-rebalance.ts'
import type { ClusterStartFlags } from './cluster-start.ts'
import { withStatusCommand } from './cluster-status.ts'
import { sizeText } from './output.ts'
import { collect, integerOf, type Tool, withTool, withToolFlags } from './tool.ts'

export function clusterCommand(): Command {
  const cluster = new Command('cluster').description('what a cluster consists of')
  withToolFlags(cluster)
  cluster.command('describe').description('cluster id, controller and brokers').action(describe)
  cluster
    .command('apis')
    .description('APIs and versions that a broker serves, and its features')
    .option('--broker <id>', 'the broker to ask; without it the first one')
    .action(apis)
  cluster
    .command('dirs')
    .description('log directories with what lies in them')
    .option('--broker <id>', 'the broker to ask; without it all of them')
    .action(dirs)
  withStatusCommand(cluster)
  withRebalanceCommands(cluster)
  withStartCommand(cluster)
  withRecoverCommand(cluster)
  return cluster
}

const describe = (_flags: object, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const { clusterId, controllerId, brokers } = await describeCluster(client)
    const { tableOf } = await import('./output.ts')
    const rows = brokers
      .map(({ brokerId, host, port, rack }) => ({ brokerId, host, port, rack }))
      .sort((a, b) => a.brokerId - b.brokerId)
    const table = tableOf(rows, [
      { title: 'BROKER', value: (row) => row.brokerId },
      { title: 'ADDRESS', value: (row) => `${row.host}:${row.port}` },
      { title: 'RACK', value: (row) => row.rack },
      { title: 'CONTROLLER', value: (row) => (row.brokerId === controllerId ? 'yes' : '') },
    ])
    output.result({ clusterId, controllerId, brokers: rows }, `cluster ${clusterId}\n${table}`)
  })

async function brokerIds({ client }: Tool, asked: string | undefined): Promise<number[]> {
  if (asked !== undefined) return [integerOf('--broker', asked)]
  const { brokers } = await describeCluster(client)
  return brokers.map(({ brokerId }) => brokerId).sort((a, b) => a - b)
}

const apis = (flags: { broker?: string }, command: Command): Promise<void> =>
  withTool(command, async (tool) => {
    const { client, output } = tool
    const [first = 0] = await brokerIds(tool, flags.broker)
    const { apiKeys, finalizedFeatures } = await describeApis(client, first)
    const { tableOf } = await import('./output.ts')
    const rows = apiKeys
      .map(({ apiKey, minVersion, maxVersion }) => ({
        apiKey,
        name: apiNames[apiKey] ?? 'unknown',
        minVersion,
        maxVersion,
      }))
      .sort((a, b) => a.apiKey - b.apiKey)
    const table = tableOf(rows, [
      { title: 'KEY', value: (row) => row.apiKey },
      { title: 'API', value: (row) => row.name },
      { title: 'FROM', value: (row) => row.minVersion },
      { title: 'TO', value: (row) => row.maxVersion },
    ])
    const features = finalizedFeatures.map(({ name, maxVersionLevel }) => ({
      name,
      level: maxVersionLevel,
    }))
    const list = features.map(({ name, level }) => `${name}=${level}`).join(' ')
    output.result(
      { brokerId: first, apis: rows, features },
      `${table}features: ${list || 'none'}\n`,
    )
  })

const dirs = (flags: { broker?: string }, command: Command): Promise<void> =>
  withTool(command, async (tool) => {
    const { client, output } = tool
    const rows: {
      brokerId: number
      path: string
      partitions: number
      sizeBytes: number
      freeBytes: number
      errorCode: number
    }[] = []
    for (const brokerId of await brokerIds(tool, flags.broker)) {
      for (const dir of await describeLogDirs(client, brokerId)) {
        const partitions = dir.topics.flatMap((topic) => topic.partitions)
        rows.push({
          brokerId,
          path: dir.logDir,
          partitions: partitions.length,
          sizeBytes: partitions.reduce((sum, each) => sum + each.partitionSize, 0),
          freeBytes: dir.usableBytes,
          errorCode: dir.errorCode,
        })
      }
    }
    output.list(
      rows,
      [
        { title: 'BROKER', value: (row) => row.brokerId },
        { title: 'DIRECTORY', value: (row) => row.path },
        { title: 'PARTITIONS', value: (row) => row.partitions },
        { title: 'SIZE', value: (row) => sizeText(row.sizeBytes) },
        { title: 'FREE', value: (row) => (row.freeBytes < 0 ? '' : sizeText(row.freeBytes)) },
        { title: 'STATE', value: (row) => (row.errorCode === 0 ? 'online' : 'offline') },
      ],
      'There are no log directories.',
    )
  })

function withStartCommand(cluster: Command): void {
  cluster
    .command('start')
    .description('start several brokers that are one cluster, for development')
    .option('--brokers <number>', 'how many', '3')
    .option(
      '-p, --port <number>',
      "the first broker's port, the others take the next; 0: free ones",
      '9092',
    )
    .option('-H, --host <address>', 'address to listen on', '127.0.0.1')
    .option('-d, --data <folder>', 'folder of the data, of Consul too (~/.local/share/lmq-cluster)')
    .option('--ephemeral', 'keep the data in a temporary folder and remove it at the end')
    .option(
      '--http-port <number>',
      "the first broker's port for health and metrics; 0: free ones, -1: none",
      '9644',
    )
    .option('--racks <names>', "the brokers' racks in turn, separated by commas")
    .option('-s, --set <key=value>', 'a setting of all brokers; may be repeated', collect)
    .option('--consul', 'keep the metadata in three Consul servers, started here too')
    .option('--consul-port <number>', "the first Consul server's HTTP port", '8500')
    .option('--log-level <level>', 'debug, info, warn or error', 'warn')
    .action(async (flags: ClusterStartFlags) =>
      (await import('./cluster-start.ts')).runCluster(flags),
    )
}

function withRecoverCommand(cluster: Command): void {
  cluster
    .command('recover')
    .description(
      "compare a stopped broker's copy of the metadata with Consul, and put it in Consul's place",
    )
    .option('-d, --data <folder>', "the broker's data folder (~/.local/share/lmq)")
    .option('-c, --config <file>', 'the server.properties that `lmq start` gets')
    .option('-s, --set <key=value>', 'one setting, as for `lmq start`; may be repeated', collect)
    .option('--from-broker', 'write: Consul gets what this broker knows, and loses all else')
    .option('--force', 'also where Consul has changes that this broker does not have')
    .addHelpText(
      'after',
      '\nWithout --from-broker nothing is changed. Look at each broker, and recover from the one that knows most.',
    )
    .action(async (_flags: object, command: Command) =>
      (await import('./cluster-recover.ts')).recoverCluster(command.optsWithGlobals()),
    )
}
