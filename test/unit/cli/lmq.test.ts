// Goal: the program does what its help says, as a process of its own: start, stop, and every command works against a broker.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import nodeModule from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Running, runLmq, startLmq } from '../../tools/lmq-program.ts'

t.setTimeout(170_000)

async function until(condition: () => boolean, running: Running): Promise<void> {
  let gone = false
  void running.ended.then(() => {
    gone = true
  })
  while (!condition()) {
    if (gone) throw new Error(`ended early: ${(await running.ended).err}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function start(t: Tap, ...words: string[]): Promise<{ running: Running; bootstrap: string }> {
  // A broker that is killed leaves its temporary folder: it makes it in one that goes with the test.
  const folder = await mkdtemp(join(tmpdir(), 'lmq-cli-'))
  const env = { TMPDIR: folder }
  const running = startLmq(['start', '--http-port', '-1', ...words], { env })
  t.teardown(async () => {
    running.child.kill('SIGKILL')
    await running.ended
    await rm(folder, { recursive: true, force: true })
  })
  await until(() => running.out().includes('Ctrl+C'), running)
  const bootstrap = /bootstrap\.servers +(\S+)/.exec(running.out())?.[1] ?? ''
  return { running, bootstrap }
}
type Tap = { teardown(task: () => unknown): void }

async function folderOf(t: Tap): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lmq-cli-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test(
  'start says where it is, keeps its folder and port to itself, stops on SIGTERM',
  async (t) => {
    const folder = await folderOf(t)
    const data = join(folder, 'data')
    const { running, bootstrap } = await start(t, '--port', '0', '--data', data)
    t.match(running.out(), /LMQ is ready in \d+ ms/)
    t.ok(running.out().includes(data))
    const port = bootstrap.split(':').at(-1)
    const [sameFolder, samePort] = await Promise.all([
      runLmq(`start --port 0 --http-port -1 --data ${data}`),
      runLmq(`--port ${port} --http-port -1 --data ${folder}/other`),
    ])
    t.match(sameFolder, { code: 3, err: /another broker uses the data folder/ })
    t.match(samePort, { code: 3, err: /already in use/ })
    running.child.kill('SIGTERM')
    t.match(await running.ended, { code: 0, err: /stopped/ })
  },
)

t.test('an ephemeral broker leaves nothing behind; logs may be JSON', async (t) => {
  const words = 'start -p 0 --http-port -1 --ephemeral --set lmq.log.format=json'
  const running = startLmq(words)
  t.teardown(() => running.child.kill('SIGKILL'))
  await until(() => running.out().includes('"ready"'), running)
  const lines = running.out().trim().split('\n')
  const ready = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'ready')
  t.match(ready, { bootstrap: /^127\.0\.0\.1:\d+$/, brokerId: 1 })
  t.ok(existsSync(ready.dataDir))
  running.child.kill('SIGINT')
  t.match(await running.ended, { code: 0 })
  t.notOk(existsSync(ready.dataDir))
})

t.test('wrong words and settings end with code 2 and say what is wrong', async (t) => {
  const wrong: [string, RegExp, Record<string, string>?][] = [
    ['start --prot 5', /--prot/],
    ['start --log-level loud', /lmq\.log\.level=loud .*debug, info, warn, error/],
    ['start --set log.retension.ms=5', /did you mean log\.retention\.ms/],
    [
      'start',
      /num\.partitions=none \(from KAFKA_NUM_PARTITIONS\)/,
      { KAFKA_NUM_PARTITIONS: 'none' },
    ],
    ['start --config /nowhere/server.properties', /no such file/],
    ['strat', /unknown command 'strat'/],
    ['topics lst', /unknown command 'lst'.*Did you mean list/s],
    ['topics create a -b host:x', /bootstrap/],
    ['consume a --from nowhere', /--from|beginning/],
  ]
  const ended = await Promise.all(wrong.map(([words, , env = {}]) => runLmq(words, { env })))
  for (const [at, [words, text]] of wrong.entries()) {
    t.match(ended[at], { code: 2, err: text }, words)
    t.notMatch(ended[at]?.err, /\n +at /, 'no stack')
  }
})

t.test('help and version', async (t) => {
  const [help, version, start] = await Promise.all([
    runLmq('--help'),
    runLmq('--version'),
    runLmq('start --help'),
  ])
  t.match(help, { code: 0, out: /produce .*consume .*Exit codes/s })
  t.match(version, { code: 0, out: /^\d+\.\d+\.\d+/ })
  t.match(start, { code: 0, out: /--ephemeral/ })
})

t.test('compiled code is kept for the next start, where Node can', async (t) => {
  const folder = await folderOf(t)
  const env = { XDG_CACHE_HOME: folder, NODE_COMPILE_CACHE: '', NODE_DISABLE_COMPILE_CACHE: '' }
  const kept = join(folder, 'lmq', 'compiled-code')
  t.match(await runLmq('--version', { env: { ...env, NODE_DISABLE_COMPILE_CACHE: '1' } }), {
    code: 0,
  })
  t.notOk(existsSync(kept), 'not where it is switched off')
  t.match(await runLmq('--version', { env }), { code: 0 })
  t.equal(existsSync(kept), 'enableCompileCache' in nodeModule)
  const unwritable = { ...env, XDG_CACHE_HOME: '/dev/null' }
  t.match(await runLmq('--version', { env: unwritable }), { code: 0, err: '' })
})

t.test('nobody there', async (t) => {
  const ended = await runLmq('topics list -b 127.0.0.1:1 --timeout 0')
  t.match(ended, { code: 3, err: /cannot reach 127\.0\.0\.1:1 .*lmq start/ })
})

t.test('commands', async (t) => {
  const { bootstrap } = await start(t, '-p', '0', '--ephemeral')
  const env = { LMQ_BOOTSTRAP: bootstrap }
  const done = async (words: string, input?: string): Promise<string> => {
    const { code, out, err } = await runLmq(words, {
      env,
      ...(input === undefined ? {} : { input }),
    })
    t.equal(code, 0, `${words}: ${err}`)
    return out
  }

  t.match(await done('topics create orders -p 3 -c retention.ms=60000'), /created orders/)
  t.match(await runLmq('topics create orders', { env }), { code: 1, err: /TOPIC_ALREADY_EXISTS/ })
  await done('topics create orders --if-not-exists')
  t.match(JSON.parse(await done('topics list --json')), [{ name: 'orders', partitions: 3 }])

  const lines = Array.from({ length: 500 }, (_, i) => `k${i % 5}:v${i}`)
  await done('produce orders -K : -z gzip', `${lines.join('\n')}\n`)
  const read = await done('consume orders -K : --from beginning --exit')
  t.same(read.trim().split('\n').sort(), [...lines].sort())
  t.equal((await done('consume orders --from beginning -n 7')).trim().split('\n').length, 7)

  const json = await done('consume orders --json --from beginning --exit')
  await done('produce copy --json --repartition', json)
  const [described] = JSON.parse(await done('topics describe copy --json'))
  t.equal(described.partitions[0].endOffset, 500)
  const bad = await runLmq('produce copy --json', { env, input: '{"value":"kept"}\nno json\n' })
  t.match(bad, { code: 2, err: /line 2 is not JSON/ })
  t.equal((await done('consume copy --from -1 --exit')).trim(), 'kept')

  await done('consume copy -g readers --from beginning -n 100')
  t.match(await done('groups describe readers'), /Empty +0 members +lag 401/)
  t.match(await done('groups reset readers -t copy --to -5'), /100 +496/)
  t.equal((await done('consume copy -g readers --exit')).trim().split('\n').length, 5)
  t.match(await done('groups delete readers'), /deleted readers/)
  t.match(await runLmq('groups describe readers', { env }), { code: 1, err: /GROUP_ID_NOT_FOUND/ })

  await done('topics alter orders -p 4 --unset retention.ms')
  await done('configs set topic orders cleanup.policy=compact')
  t.match(await done('configs describe topic orders'), /cleanup\.policy +compact +topic/)
  t.match(await done('topics trim copy --before 10'), /10/)
  t.match(await done('topics --internal'), /__consumer_offsets/)
  t.match(await done('cluster'), /CONTROLLER\n +1 /)
  t.match(await done('cluster apis'), /Produce/)
  t.match(await done('cluster dirs'), /online/)
  t.match(await done('topics delete orders copy'), /deleted orders\ndeleted copy/)
})

t.test('records flow on across a restart of the broker', async (t) => {
  const data = join(await folderOf(t), 'data')
  const first = await start(t, '-p', '0', '--data', data)
  const env = { LMQ_BOOTSTRAP: first.bootstrap }
  await runLmq('topics create flow', { env })
  const writer = startLmq(['produce', 'flow'], { env })
  t.teardown(() => writer.child.kill('SIGKILL'))
  const numbers = (from: number) => Array.from({ length: 100 }, (_, i) => `${from + i}\n`).join('')
  writer.child.stdin?.write(numbers(0))
  const reader = startLmq(['consume', 'flow', '-g', 'g', '--from', 'beginning', '-n', '200'], {
    env,
  })
  t.teardown(() => reader.child.kill('SIGKILL'))
  await until(() => reader.out().split('\n').length > 50, reader)
  first.running.child.kill('SIGTERM')
  await first.running.ended
  writer.child.stdin?.write(numbers(100))
  await start(t, '-p', first.bootstrap.split(':').at(-1) ?? '', '--data', data)
  writer.child.stdin?.end()
  t.match(await writer.ended, { code: 0 })
  const { out, code } = await reader.ended
  t.equal(code, 0)
  t.equal(new Set(out.trim().split('\n')).size, 200)
})
