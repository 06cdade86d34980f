import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { lockFolder } from '../../../src/io/folder-lock.ts'
import type { Socket } from '../../../src/io/io.ts'
import { BrokerClock, NodeTimers } from '../../../src/io/node-clocks.ts'
import { nodeDisk } from '../../../src/io/node-disk.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { NodeJobs } from '../../../src/io/node-jobs.ts'
import { nodeRandom } from '../../../src/io/node-random.ts'

function temporaryFolder(t: Test): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lmq-io-'))
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

t.test('the broker clock follows the wall slowly and never goes back', (t) => {
  let monotonicMs = 0
  let wallMs = 1_000_000
  const clock = new BrokerClock({ nowMs: () => monotonicMs }, { nowMs: () => wallMs })
  const pass = (ms: number) => {
    monotonicMs += ms
    wallMs += ms
  }
  t.equal(clock.nowMs(), 1_000_000)
  pass(500)
  t.equal(clock.nowMs(), 1_000_500)
  wallMs += 60_000
  let last = clock.nowMs()
  t.ok(last <= 1_000_500, 'no jump')
  for (let second = 0; second < 700; second++) {
    pass(1_000)
    const now = clock.nowMs()
    t.ok(now - last >= 900 && now - last <= 1_101, `${now - last} ms in a second`)
    last = now
  }
  t.ok(Math.abs(clock.nowMs() - wallMs) < 200, 'caught up')
  wallMs -= 5_000
  for (let second = 0; second < 100; second++) {
    pass(1_000)
    const now = clock.nowMs()
    t.ok(now > last)
    last = now
  }
  t.ok(Math.abs(clock.nowMs() - wallMs) < 200)
  clock.advance(86_400_000)
  t.ok(clock.nowMs() - last >= 86_400_000)
  t.end()
})

t.test('timers', async (t) => {
  const timers = new NodeTimers()
  // Timers alone keep no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const seen: string[] = []
  timers.schedule(0, () => seen.push('cancelled')).cancel()
  const ended = new Promise<void>((resolve) => {
    timers.endOfTurn(() => {
      seen.push('end')
      timers.nextTurn(() => {
        seen.push('end of the next turn')
        resolve()
      })
      timers.endOfTurn(() => seen.push('still the end'))
      setImmediate(() => seen.push('next turn'))
    })
  })
  await Promise.resolve()
  seen.push('microtask')
  await ended
  t.same(seen.slice(0, 3), ['microtask', 'end', 'still the end'])
  t.same(seen.slice(3).sort(), ['end of the next turn', 'next turn'])
  const far = timers.schedule(2 ** 40, () => t.fail('too early'))
  await new Promise<void>((resolve) => timers.schedule(5, resolve))
  far.cancel()
})

t.test('random', (t) => {
  for (let index = 0; index < 200; index++) {
    t.match(nodeRandom.uuid(), /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/)
    t.ok(nodeRandom.int(3) < 3)
  }
  t.equal(nodeRandom.bytes(7).length, 7)
  t.end()
})

t.test('files', async (t) => {
  const folder = temporaryFolder(t)
  const name = path.join(folder, 'file')
  t.throws(() => nodeDisk.openSync(name, 'update'), { code: 'ENOENT' })
  const file = nodeDisk.openSync(name, 'write')
  file.writeSync([Buffer.from('abc')], 0)
  await file.write([Buffer.from('def'), Buffer.from(''), Buffer.from('ghi')], 3)
  file.writeSync([Buffer.from('X'), Buffer.from('Y')], 1)
  t.equal(file.sizeSync(), 9)
  const target = Buffer.alloc(20)
  t.equal(await file.read(target, 4), 5)
  t.equal(target.toString('latin1', 0, 5), 'efghi')
  t.equal(file.readSync(target, 0), 9)
  t.equal(target.toString('latin1', 0, 9), 'aXYdefghi')
  t.equal(await file.read(target, 100), 0)
  file.truncateSync(4)
  await file.flush()
  file.flushSync()
  await file.close()
  t.equal(nodeDisk.readFileSync(name).toString(), 'aXYd')
  t.equal(nodeDisk.statSync(name)?.sizeBytes, 4)
  t.equal(nodeDisk.statSync(`${name}x`), undefined)
  await nodeDisk.replaceFile(name, Buffer.from('new'))
  t.equal((await nodeDisk.readFile(name)).toString(), 'new')
  nodeDisk.replaceFileSync(name, Buffer.from('newer'))
  nodeDisk.makeFolderSync(path.join(folder, 'a', 'b'))
  t.same(
    nodeDisk
      .listSync(folder)
      .map(({ name, isFolder }) => `${name} ${isFolder}`)
      .sort(),
    ['a true', 'file false'],
  )
  nodeDisk.renameSync(name, `${name}2`)
  t.ok(nodeDisk.existsSync(`${name}2`))
  await nodeDisk.removeFile(`${name}2`)
  await nodeDisk.removeFile(`${name}2`)
  await nodeDisk.removeFolder(path.join(folder, 'a'))
  t.same(await nodeDisk.list(folder), [])
  const { freeBytes, totalBytes } = await nodeDisk.space(folder)
  t.ok(freeBytes > 0 && totalBytes >= freeBytes)
})

t.test('more chunks than one system call takes', async (t) => {
  const file = nodeDisk.openSync(path.join(temporaryFolder(t), 'file'), 'write')
  const chunks = Array.from({ length: 3_000 }, (_, index) =>
    Buffer.from(String(index).padStart(5, '0')),
  )
  file.writeSync(chunks, 0)
  await file.write(chunks, 15_000)
  const content = Buffer.alloc(30_000)
  t.equal(await file.read(content, 0), 30_000)
  t.ok(content.equals(Buffer.concat([...chunks, ...chunks])))
  file.closeSync()
})

t.test('a folder is held by one, also when its path is long', async (t) => {
  for (const depth of [0, 12]) {
    const folder = path.join(
      temporaryFolder(t),
      ...Array.from({ length: depth }, () => 'a-rather-long-name'),
    )
    fs.mkdirSync(folder, { recursive: true })
    const lock = await lockFolder(folder)
    await t.rejects(lockFolder(folder), { code: 'LMQ_LOG_DIR_TAKEN' })
    await lock.release()
    await (await lockFolder(folder)).release()
  }
})

t.test('what a dead process left is taken over', async (t) => {
  const folder = temporaryFolder(t)
  const { spawnSync } = await import('node:child_process')
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script, path.join(folder, '.lmq.lock')], { env: {} })
  t.ok(fs.existsSync(path.join(folder, '.lmq.lock')))
  await (await lockFolder(folder)).release()
})

t.test('sockets', async (t) => {
  const { net } = createNodeIo()
  const received: string[] = []
  let served: Socket | undefined
  const server = await net.listen({ host: '127.0.0.1', port: 0 }, (socket) => {
    served = socket
    socket.onData((chunk) => {
      received.push(chunk.toString())
      socket.write([Buffer.from('<'), chunk, Buffer.from('>')])
    })
  })
  await t.rejects(
    net.listen({ host: '127.0.0.1', port: server.port }, () => {}),
    { code: 'LMQ_PORT_TAKEN' },
  )
  const client = await net.connect({ host: '127.0.0.1', port: server.port }, 5_000)
  t.equal(client.remotePort, server.port)
  let answer = ''
  const answered = new Promise<void>((resolve) =>
    client.onData((chunk) => {
      answer += chunk.toString()
      if (answer.endsWith('>')) resolve()
    }),
  )
  client.write([Buffer.from('hello')])
  await answered
  t.equal(answer, '<hello>')
  const closed = new Promise<Error | undefined>((resolve) => served?.onClose(resolve))
  client.end()
  t.equal(await closed, undefined)
  await server.close()
  await t.rejects(net.connect({ host: '127.0.0.1', port: server.port }, 5_000), {
    code: 'ECONNREFUSED',
  })
  const again = await net.listen({ host: '127.0.0.1', port: server.port }, () => {})
  await again.close()
})

t.test('a job runs beside, and its failure comes back', async (t) => {
  const folder = temporaryFolder(t)
  const module = path.join(folder, 'job.mjs')
  fs.writeFileSync(
    module,
    `export async function run(input, io) {
      if (input === 'fail') throw Object.assign(new Error('no'), { code: 'ENOSPC' })
      if (input === 'exit') process.exit(1)
      return { twice: input * 2, crc: io.crc32c(Buffer.from('123456789'), 0, 9) }
    }`,
  )
  const url = new URL(`file://${module}`)
  const jobs = new NodeJobs()
  t.teardown(() => jobs.close())
  t.same(await jobs.run(url, 21), { twice: 42, crc: 0xe3069283 })
  await t.rejects(jobs.run(url, 'fail'), { code: 'ENOSPC' })
  await t.rejects(jobs.run(url, 'exit'))
  t.same(await jobs.run(url, 1), { twice: 2, crc: 0xe3069283 }, 'a new thread after one that died')
  await jobs.close()
  await t.rejects(jobs.run(url, 1), { code: 'LMQ_SHUTTING_DOWN' })
})
