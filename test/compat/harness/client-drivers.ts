// The client libraries under test: a program of its own for Python, Go, Rust and Java (one JSON command a line, one JSON answer a
// line), a plain object for kafkajs.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { repositoryRoot } from '../../tools/repository-root.ts'
import { type Answer, type ClientName, checked, type Driver } from './driver.ts'
import { javaArgs } from './java.ts'
import { createKafkajsDriver } from './kafkajs-driver.ts'
import { type Tool, type ToolName, tool } from './tools.ts'

type Starter = (bootstrap: string) => Driver | undefined

const starters: Record<ClientName, Starter> = {
  kafkajs: createKafkajsDriver,
  '@platformatic/kafka': javascript('@platformatic/kafka', 'platformatic', 'platformatic.mjs'),
  'confluent-kafka-javascript': javascript(
    'confluent-kafka-javascript',
    'confluentJavascript',
    'confluent-javascript.mjs',
  ),
  'node-rdkafka': javascript('node-rdkafka', 'nodeRdkafka', 'node-rdkafka.mjs'),
  'confluent-kafka (Python)': python('confluent-kafka (Python)', 'python', 'driver.py'),
  'kafka-python': python('kafka-python', 'kafkaPython', 'kafka_python_driver.py'),
  aiokafka: python('aiokafka', 'aiokafka', 'aiokafka_driver.py'),
  'franz-go (Go)': compiled('franz-go (Go)', 'go'),
  'kafka-go (Go)': compiled('kafka-go (Go)', 'kafkaGo'),
  'sarama (Go)': compiled('sarama (Go)', 'sarama'),
  'rust-rdkafka (Rust)': compiled('rust-rdkafka (Rust)', 'rust'),
  Java: (bootstrap) => {
    const java = tool('java')
    return (
      java && spawned('Java', java.version, java.path, [...javaArgs(java), 'Driver', bootstrap])
    )
  },
}

function compiled(client: ClientName, name: ToolName): Starter {
  return (bootstrap) => {
    const found = tool(name)
    return found && spawned(client, versionOf(found), found.path, [bootstrap])
  }
}

/** A wrapper is as good as the library in it. */
const versionOf = ({ version, librdkafka }: Tool) =>
  librdkafka ? `${version}, librdkafka ${librdkafka}` : version

function python(client: ClientName, name: ToolName, script: string): Starter {
  return (bootstrap) => {
    const found = tool(name)
    return (
      found && spawned(client, found.version, found.path, [source('python', script), bootstrap])
    )
  }
}

/** The driver loads its client from the folder where the tool was installed. */
function javascript(client: ClientName, name: ToolName, script: string): Starter {
  return (bootstrap) => {
    const found = tool(name)
    if (!found) return undefined
    const args = [source('javascript', script), found.folder ?? '', bootstrap]
    return spawned(client, versionOf(found), found.path, args)
  }
}

const source = (...path: string[]) =>
  join(repositoryRoot(import.meta.url), 'test', 'compat', ...path)

/** @returns undefined where the client's language is not on this machine */
export function startDriver(client: ClientName, bootstrap: string): Driver | undefined {
  return starters[client](bootstrap)
}

function spawned(client: ClientName, version: string, program: string, args: string[]): Driver {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = []
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk.toString()}`.slice(-4000)
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) waiting.shift()?.resolve(JSON.parse(line) as Answer)
  })
  child.on('close', (code) => {
    const error = new Error(`the ${client} driver ended with ${code}: ${stderr}`)
    for (const each of waiting.splice(0)) each.reject(error)
  })
  const call = async (command: string, args: object = {}) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the ${client} driver is gone: ${stderr}`)
    }
    const answered = new Promise<Answer>((resolve, reject) => waiting.push({ resolve, reject }))
    child.stdin.write(`${JSON.stringify({ do: command, ...args })}\n`)
    return checked(command, await answered)
  }
  return { client, version, call, stop: () => ended(child) }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('close', () => resolve())
    child.kill('SIGKILL')
  })
}
