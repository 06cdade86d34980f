// Goal: `lmq cluster start --brokers 3 --consul` gives a cluster on three Consul servers, `lmq ... --bootstrap-consul` finds
// its brokers, and Ctrl+C ends all processes: when all runs, and while it still starts. Method: the commands as processes of
// their own, Consul from PATH; a signal to the command's process group is what a terminal sends.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import t from 'tap'
import { uniqueName, until } from '../compat/harness/context.ts'
import { runOrThrow } from '../compat/harness/program.ts'
import { tool, whyMissing } from '../compat/harness/tools.ts'
import { lmqCommand } from '../tools/lmq-program.ts'

t.setTimeout(0) // the runner limits the file

const patienceMs = 90_000
const [program, ...entry] = lmqCommand()
const consul = tool('consul')

if (!consul) t.pass('cluster start', { skip: whyMissing('consul') })
else {
  const own = Object.entries(process.env).filter(([name]) => !/^(KAFKA_|LMQ_|CONSUL_)/.test(name))
  const path = `${dirname(consul.path)}${delimiter}${process.env['PATH']}`
  const env = { ...Object.fromEntries(own), PATH: path }

  t.test('a cluster that is used, then ended by Ctrl+C', async (t) => {
    const run = await started(env)
    t.teardown(() => run.remove())
    await run.prints(/A cluster of 3 brokers is ready/)
    t.equal(run.consulPids().length, 3, 'three servers of Consul')
    const bootstrap = ['--bootstrap-consul', run.consulAddress]
    const lmq = async (...words: string[]) => {
      return (await runOrThrow(program, [...entry, ...words, ...bootstrap])).stdout.toString()
    }
    const status = JSON.parse(await lmq('cluster', 'status', '--json')) as {
      brokers: { fenced: boolean }[]
    }
    t.equal(status.brokers.filter(({ fenced }) => !fenced).length, 3, 'three brokers take part')
    const topic = uniqueName()
    await lmq('topics', 'create', topic, '--replication', '3')
    t.match(await lmq('topics', 'list'), topic)
    run.interrupt()
    t.equal(await run.ended, 0, 'it ends in order')
    t.same(run.consulPids(), [], 'no server of Consul is left')
    t.same(run.left(), [], 'what was temporary is gone')
  })

  t.test('Ctrl+C while it starts', async (t) => {
    const run = await started(env)
    t.teardown(() => run.remove())
    await until(
      'Consul starts',
      async () => run.consulPids().length,
      (count) => count === 3,
      patienceMs,
    )
    run.interrupt()
    t.equal(await run.ended, 0, 'it ends in order')
    t.same(run.consulPids(), [], 'no server of Consul is left')
    t.same(run.left(), [], 'what was temporary is gone')
  })
}

/** Starts the command. Its temporary folder is the only one in a folder of its own, whose name tells its processes. */
async function started(env: NodeJS.ProcessEnv) {
  const parent = mkdtempSync(join(tmpdir(), 'lmq-cluster-start-'))
  const consulPort = await freeBlock()
  const args = ['cluster', 'start', '--brokers', '3', '--consul', '--ephemeral', '--port', '0']
  const ports = ['--http-port=-1', '--consul-port', String(consulPort)]
  const child = spawn(program, [...entry, ...args, ...ports], {
    env: { ...env, TMPDIR: parent },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const consulPids = () => pidsOf(parent)
  return {
    /** What it left in its folder for temporary things. */
    left: () => readdirSync(parent),
    consulAddress: `127.0.0.1:${consulPort}`,
    ended,
    consulPids,
    interrupt: () => void process.kill(-(child.pid ?? 0), 'SIGINT'),
    prints: (wanted: RegExp) =>
      until(
        'it is ready',
        async () => ({ output, isOver: isOver(child) }),
        (now) => {
          if (now.isOver) throw new Error(`it ended:\n${now.output}`)
          return wanted.test(now.output)
        },
        patienceMs,
      ),
    remove() {
      if (!isOver(child)) child.kill('SIGKILL')
      for (const pid of consulPids()) process.kill(pid, 'SIGKILL')
      rmSync(parent, { recursive: true, force: true })
    },
  }
}

const isOver = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null

/** Of Consul's processes whose data lie in a folder. */
function pidsOf(folder: string): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
  return stdout
    .split('\n')
    .filter((line) => line.includes('agent') && line.includes(`-data-dir=${folder}`))
    .map((line) => Number.parseInt(line, 10))
}

/** The command takes three ports from each of three rows of ten. */
async function freeBlock(): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000)
    const ports = [0, 1, 2].flatMap((at) => [first + at, first + 10 + at, first + 20 + at])
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
