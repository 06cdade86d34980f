// Goal: `lmq cluster start` gives a running cluster and stops all of it; `lmq cluster status` tells the truth about it.
import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startCluster } from '../../../src/index.ts'
import { runLmq, startLmq } from '../../tools/lmq-program.ts'

t.setTimeout(120_000)

type Status = {
  controllerId: number
  brokers: { brokerId: number; rack: string | null; fenced: boolean }[]
  partitions: number
  underReplicated: { topic: string; missing: number[]; next: string }[]
  offline: { topic: string; next: string }[]
}

async function statusOf(bootstrap: string): Promise<Status> {
  const { code, out, err } = await runLmq(`cluster status --json -b ${bootstrap}`)
  if (code !== 0) throw new Error(err)
  return JSON.parse(out) as Status
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lmq-cluster-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test('three brokers start from one command and stop together', async (t) => {
  const folder = await temporaryFolder(t)
  const words = 'cluster start --port 0 --http-port -1 --ephemeral --racks a,b,c'
  const running = startLmq(words, { env: { TMPDIR: folder } })
  t.teardown(() => running.child.kill('SIGKILL'))
  await until('the cluster is ready', () => {
    if (running.child.exitCode !== null) throw new Error(running.err())
    return running.out().includes('Stop with')
  })
  const bootstrap = /connect to (\S+)/.exec(running.out())?.[1] ?? ''
  t.equal(bootstrap.split(',').length, 3)
  const status = await statusOf(bootstrap)
  t.same(
    status.brokers.map(({ brokerId, rack, fenced }) => [brokerId, rack, fenced]),
    [
      [1, 'a', false],
      [2, 'b', false],
      [3, 'c', false],
    ],
  )
  running.child.kill('SIGINT')
  t.equal((await running.ended).code, 0)
  t.same(
    readdirSync(folder).filter((name) => name.startsWith('lmq')),
    [],
    'the temporary data is gone',
  )
})

t.test('what is not well is told, with what is done about it', async (t) => {
  const cluster = await startCluster({ brokers: 3 })
  t.teardown(() => cluster.stop())
  const { bootstrap } = cluster
  for (const words of ['two --replication 2', 'one --replication 1']) {
    const made = await runLmq(`topics create -b ${bootstrap} ${words} --partitions 3`)
    t.equal(made.code, 0, made.err)
  }
  const before = await statusOf(bootstrap)
  t.same([before.partitions, before.underReplicated, before.offline], [6, [], []])
  const [first, second] = cluster.brokers.filter(({ brokerId }) => brokerId !== before.controllerId)
  const dead = first?.brokerId ?? -1
  await cluster.kill(dead)
  const live = second?.bootstrap ?? ''
  let after = await statusOf(live)
  await until('the dead broker is away', async () => {
    after = await statusOf(live)
    return after.brokers.some(({ brokerId, fenced }) => brokerId === dead && fenced)
  })
  t.same(
    after.offline.map(({ topic, next }) => [topic, next]),
    [['one', `leads again when broker ${dead} is back`]],
  )
  t.ok(after.underReplicated.length > 0)
  for (const { topic, missing, next } of after.underReplicated) {
    t.same([topic, missing, next], ['two', [dead], `waits for broker ${dead} to come back`])
  }
})
