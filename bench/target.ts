// A broker under measure: one that runs already (host:port), or one that the bench starts itself on a free loopback
// port with its data in a temporary folder: `lmq`, `kafka` (Apache Kafka) or `kfake` (franz-go's in-memory broker).
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Loaded } from './load.ts'
import { listenerPid } from './process-stat.ts'
import { goDriver, kafkaJars, MissingTool, outputOf, repositoryFolder } from './toolbox.ts'

export interface Target extends Loaded {
  readonly name: string
  /** Product and version as a table names it. */
  readonly label: string
  /** How to start another one of its kind; undefined when the bench was only given an address. */
  readonly starter: Starter | undefined
  close(): Promise<void>
}

/** Starts a broker on a port with its data in a folder. What is to be done before (formatting) is not measured. */
export interface Starter {
  prepare(port: number, folder: string): Promise<void>
  command(port: number, folder: string): string[]
}

export const startTimeoutMs = 60_000
const stopTimeoutMs = 30_000

/**
 * @param spec `lmq`, `kafka`, `kfake` or `host:port`
 * @param startCommand for `host:port`: a start command with `{port}` and `{data}` in it, for the start measure
 */
export async function openTarget(
  spec: string,
  startCommand: string | undefined,
  pid: number | undefined,
): Promise<Target> {
  if (spec.includes(':')) return addressTarget(spec, startCommand, pid)
  const { starter, label } = await starterOf(spec)
  const folder = await mkdtemp(join(tmpdir(), `lmq-bench-${spec}-`))
  const port = await freePort()
  await starter.prepare(port, folder)
  const child = launch(starter.command(port, folder))
  const close = async (): Promise<void> => {
    await stop(child)
    await rm(folder, { recursive: true, force: true })
  }
  process.once('exit', () => child.kill('SIGKILL'))
  try {
    await reachable(port, child)
  } catch (error) {
    await close()
    throw error
  }
  return { name: spec, label, bootstrap: `127.0.0.1:${port}`, pid: child.pid, starter, close }
}

function addressTarget(
  bootstrap: string,
  startCommand: string | undefined,
  pid: number | undefined,
): Target {
  const port = Number(bootstrap.slice(bootstrap.lastIndexOf(':') + 1))
  const starter: Starter | undefined = startCommand
    ? {
        prepare: async () => {},
        command: (startPort, folder) => [
          'sh',
          '-c',
          `exec ${startCommand.replaceAll('{port}', String(startPort)).replaceAll('{data}', folder)}`,
        ],
      }
    : undefined
  return {
    name: bootstrap,
    label: bootstrap,
    bootstrap,
    pid: pid ?? listenerPid(port),
    starter,
    close: async () => {},
  }
}

async function starterOf(name: string): Promise<{ starter: Starter; label: string }> {
  if (name === 'lmq') return lmqStarter()
  if (name === 'kafka') return kafkaStarter()
  if (name === 'kfake') return kfakeStarter()
  throw new Error(`not a broker that the bench can start: ${name} (lmq, kafka, kfake, host:port)`)
}

/** The compiled program; LMQ_PROGRAM names another one. @throws MissingTool where nothing was built */
export function lmqProgram(): string {
  const program = process.env['LMQ_PROGRAM'] ?? join(repositoryFolder, 'dist/bin/lmq.js')
  if (!existsSync(program)) throw new MissingTool('dist/ is missing: run npm run build first')
  return program
}

export async function lmqLabel(): Promise<string> {
  const facts = JSON.parse(await readFile(join(repositoryFolder, 'package.json'), 'utf8'))
  return `LMQ ${facts.version}, Node ${process.versions.node}`
}

export async function lmqStarter(): Promise<{ starter: Starter; label: string }> {
  const program = lmqProgram()
  return {
    label: await lmqLabel(),
    starter: {
      prepare: async () => {},
      command: (port, folder) => [
        process.execPath,
        ...(process.env['BENCH_NODE_OPTIONS']?.split(' ').filter(Boolean) ?? []),
        program,
        'start',
        ...['--port', String(port), '--http-port', '0', '--log-level', 'warn'],
        ...['--data', join(folder, 'data')],
      ],
    },
  }
}

async function kafkaStarter(): Promise<{ starter: Starter; label: string }> {
  const { classpath, version } = await kafkaJars()
  const settingsOf = (folder: string): string => join(folder, 'server.properties')
  return {
    label: `Apache Kafka ${version}`,
    starter: {
      prepare: async (port, folder) => {
        await mkdir(folder, { recursive: true })
        await writeFile(settingsOf(folder), kafkaSettings(port, await freePort(), folder))
        await formatKafka(classpath, settingsOf(folder))
      },
      command: (_port, folder) => kafkaCommand(classpath, settingsOf(folder)),
    },
  }
}

/** Prepares the data folder that a settings file of Kafka names. */
export async function formatKafka(classpath: string, settingsPath: string): Promise<void> {
  const flags = ['-XX:TieredStopAtLevel=1', ...temporaryIn(dirname(settingsPath))]
  const tool = [...flags, '-cp', classpath, 'kafka.tools.StorageTool']
  const format = ['format', '-t', 'bGlnaHQtYmVuY2gtaWQtMQ', '-c', settingsPath]
  await outputOf('java', [...tool, ...format], startTimeoutMs)
}

export function kafkaCommand(classpath: string, settingsPath: string): string[] {
  return [
    'java',
    ...['-Xmx1G', '-Xms1G', '-XX:+UseG1GC', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'],
    ...temporaryIn(dirname(settingsPath)),
    ...['-cp', classpath, 'kafka.Kafka', settingsPath],
  ]
}

/** Java takes the system's temporary folder unless it is told, and one that is killed leaves native libraries there. */
const temporaryIn = (folder: string): string[] => [`-Djava.io.tmpdir=${folder}`]

/** One combined broker and controller with Kafka's defaults, but what one broker or a lone new group must wait for. */
function kafkaSettings(port: number, controllerPort: number, folder: string): string {
  return `node.id=1
process.roles=broker,controller
log.dirs=${folder}/data
controller.quorum.voters=1@127.0.0.1:${controllerPort}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`
}

async function kfakeStarter(): Promise<{ starter: Starter; label: string }> {
  const driver = await goDriver()
  return {
    label: 'franz-go kfake (in memory)',
    starter: {
      prepare: async () => {},
      command: (port) => [driver, 'kfake', '-bootstrap', `127.0.0.1:${port}`],
    },
  }
}

/** @param logPath where what it says on stderr goes; undefined: to the bench's own */
export function launch(command: readonly string[], logPath?: string): ChildProcess {
  const [program, ...args] = command
  const log = logPath === undefined ? 'inherit' : openSync(logPath, 'a')
  const child = spawn(program as string, args, {
    stdio: ['ignore', 'ignore', log],
    env: brokerEnv(),
  })
  if (typeof log === 'number') closeSync(log)
  return child
}

/** Brokers take settings from KAFKA_* and LMQ_* variables; those of the bench are none of their business. */
function brokerEnv(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(KAFKA|LMQ)_/.test(name))
  return Object.fromEntries(own)
}

/** Asks a broker to stop, and ends it when it does not. */
export async function stop(child: ChildProcess, withinMs = stopTimeoutMs): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs)
  await gone
  clearTimeout(timer)
}

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

export async function reachable(port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + startTimeoutMs
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`the broker exited with code ${child.exitCode}`)
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on port ${port}`)
}
