// Goal: a disk that takes no more writes costs the log folder on it, and no other. Method: a real broker with two log
// folders whose process may write no file beyond 2 MiB (ulimit -f, so no disk need be filled): the topic that grows beyond
// it takes its folder down, the topic in the other folder is written and read on, also after a restart without the limit.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lmqCommand } from '../tools/lmq-program.ts'
import { givenBootstrap } from './harness/broker.ts'
import { until } from './harness/context.ts'
import { runOrThrow, runProgram } from './harness/program.ts'
import { tool } from './harness/tools.ts'

const limitKiB = 2_048
const kcat = tool('kcat')

class LimitedBroker {
  readonly folder = mkdtempSync(join(tmpdir(), 'lmq-full-'))
  readonly dirs = ['one', 'two'].map((name) => join(this.folder, name))
  bootstrap = ''
  output = ''
  #child: ChildProcess | undefined

  async start(limit: boolean): Promise<void> {
    const [program, ...args] = lmqCommand()
    const start = [...args, 'start', '--port', '0', '--http-port=-1']
    const settings = ['--set', `log.dirs=${this.dirs.join(',')}`]
    const limits = limit ? `trap '' XFSZ; ulimit -f ${limitKiB}; ` : ''
    const all = ['-c', `${limits}exec "$@"`, 'bash', program, ...start, ...settings]
    this.output = ''
    const child = spawn('bash', all, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const note = (chunk: Buffer) => {
      this.output += chunk.toString()
    }
    child.stdout?.on('data', note)
    child.stderr?.on('data', note)
    const address = await until(
      'the broker serves',
      async () => /Kafka clients connect to \S+:(\d+)/.exec(this.output)?.[1],
      (port) => port !== undefined || child.exitCode !== null,
    )
    if (address === undefined) throw new Error(`the broker ended:\n${this.output}`)
    this.bootstrap = `127.0.0.1:${address}`
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  kcat(args: readonly string[], input = '') {
    return runProgram(kcat?.path ?? '', ['-b', this.bootstrap, ...args], { input })
  }
}

async function run(t: Test): Promise<void> {
  const broker = new LimitedBroker()
  t.teardown(async () => {
    await broker.end('SIGKILL')
    rmSync(broker.folder, { recursive: true, force: true })
  })
  await broker.start(true)
  for (const topic of ['full', 'fine']) {
    const first = await broker.kcat(['-P', '-t', topic], 'first\n')
    t.equal(first.code, 0, first.stderr)
  }
  const folderOf = (topic: string) => broker.dirs.find((dir) => existsSync(join(dir, `${topic}-0`)))
  t.not(folderOf('full'), folderOf('fine'), 'the topics lie in two folders')
  const lines = `${'x'.repeat(10_000)}\n`.repeat(400)
  const failed = await broker.kcat(['-P', '-t', 'full', '-X', 'message.timeout.ms=5000'], lines)
  t.not(failed.code, 0, 'not all of it is acknowledged')
  t.match(broker.output, /the log directory is closed after a disk error/)
  const goesOn = await broker.kcat(['-P', '-t', 'fine'], 'second\n')
  t.equal(goesOn.code, 0, goesOn.stderr)
  const read = ['-C', '-t', 'fine', '-e', '-q', '-o', 'beginning']
  t.equal((await broker.kcat(read)).stdout.toString(), 'first\nsecond\n')
  await broker.end('SIGTERM')
  await broker.start(false)
  t.equal((await broker.kcat(read)).stdout.toString(), 'first\nsecond\n')
  const full = await broker.kcat(['-C', '-t', 'full', '-e', '-q', '-o', 'beginning', '-c', '1'])
  t.equal(full.stdout.toString(), 'first\n', 'what was acknowledged is there')
}

t.setTimeout(0) // the runner limits the file
const bash = await runOrThrow('bash', ['-c', 'true']).catch(() => undefined)
if (givenBootstrap || !kcat || !bash) {
  t.pass('nothing to run', { skip: 'kcat is missing' })
} else await t.test('one of two log folders fails', { timeout: 0 }, run)
