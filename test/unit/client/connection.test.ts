// Goal: a connection finds common versions, keeps answers and requests together, and fails clearly when the other side
// is silent, gone, or no broker. Method: a listener of our own that answers as each test says.
import { createServer, type Server, type Socket } from 'node:net'
import t from 'tap'
import { Connection, defaultConnectionOptions } from '../../../src/client/connection.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { apiVersions } from '../../../src/protocol/apis/18-api-versions.ts'

const io = createNodeIo()

type Request = { apiKey: number; version: number; correlationId: number }
type Answer = (request: Request, socket: Socket) => Buffer | undefined

async function listen(
  t: { teardown(task: () => void): void },
  answer: Answer,
): Promise<{ host: string; port: number; seen: Request[] }> {
  const seen: Request[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    let open = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      open = Buffer.concat([open, chunk])
      while (open.length >= 4 && open.length >= 4 + open.readInt32BE(0)) {
        const frame = open.subarray(4, 4 + open.readInt32BE(0))
        open = open.subarray(4 + frame.length)
        const request = {
          apiKey: frame.readInt16BE(0),
          version: frame.readInt16BE(2),
          correlationId: frame.readInt32BE(4),
        }
        seen.push(request)
        const body = answer(request, socket)
        if (body) socket.write(body)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return { host: '127.0.0.1', port, seen }
}

function frame(correlationId: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeInt32BE(4 + body.length, 0)
  head.writeInt32BE(correlationId, 4)
  return Buffer.concat([head, body])
}

const versionsBody = (version: number, errorCode = 0, metadataMax = 1): Buffer =>
  apiVersions.response.encode(
    {
      errorCode,
      apiKeys: [
        { apiKey: 3, minVersion: 0, maxVersion: metadataMax },
        { apiKey: 18, minVersion: 0, maxVersion: 2 },
      ],
    },
    version,
  )

const metadataBody = (controllerId: number): Buffer =>
  metadata.response.encode({ brokers: [], topics: [], controllerId, errorCode: 0 }, 1)
const question = {
  topics: [],
  allowAutoTopicCreation: true,
  includeClusterAuthorizedOperations: false,
  includeTopicAuthorizedOperations: false,
}
const open = (address: { host: string; port: number }, options = {}) =>
  Connection.open(io, address, { ...defaultConnectionOptions, ...options })

t.test('versions are agreed on, also with a broker that knows only old ones', async (t) => {
  const address = await listen(t, ({ apiKey, version, correlationId }) => {
    if (apiKey !== 18) return frame(correlationId, metadataBody(5))
    return frame(correlationId, version > 2 ? versionsBody(0, 35) : versionsBody(version))
  })
  const connection = await open(address)
  t.same(
    address.seen.map(({ version }) => version),
    [4, 3, 0],
  )
  t.equal(connection.versionOf(metadata), 1)
  t.equal((await connection.request(metadata, question)).controllerId, 5)
  t.throws(() => connection.versionOf(metadata, -1), { code: 'LMQ_PROTOCOL' })
  connection.close()
})

t.test('many requests: answers belong to their requests, few are in flight', async (t) => {
  let waiting: number[] = []
  let most = 0
  const address = await listen(t, ({ apiKey, correlationId }, socket) => {
    if (apiKey === 18) return frame(correlationId, versionsBody(3))
    waiting.push(correlationId)
    most = Math.max(most, waiting.length)
    if (waiting.length === 1) {
      setTimeout(() => {
        const answers = waiting.map((id) => frame(id, metadataBody(id)))
        waiting = []
        socket.write(Buffer.concat(answers))
      }, 2)
    }
    return undefined
  })
  const connection = await open(address, { maxInFlight: 4 })
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => connection.request(metadata, question)),
  )
  const ids = answers.map(({ controllerId }) => controllerId)
  t.same(
    ids,
    [...ids].sort((a, b) => a - b),
  )
  t.equal(new Set(ids).size, 20)
  t.ok(most <= 4, `${most} in flight`)
  connection.close()
})

t.test('silence', async (t) => {
  const address = await listen(t, ({ apiKey, correlationId }) =>
    apiKey === 18 ? frame(correlationId, versionsBody(3)) : undefined,
  )
  const connection = await open(address, { requestTimeoutMs: 50 })
  const both = [connection.request(metadata, question), connection.request(metadata, question)]
  for (const asked of both) await t.rejects(asked, { code: 'LMQ_REQUEST_TIMED_OUT' })
  t.ok(connection.isClosed)
  await t.rejects(connection.request(metadata, question), { code: 'LMQ_REQUEST_TIMED_OUT' })
})

t.test('gone', async (t) => {
  const address = await listen(t, ({ apiKey, correlationId }, socket) => {
    if (apiKey === 18) return frame(correlationId, versionsBody(3))
    socket.destroy()
    return undefined
  })
  const connection = await open(address)
  await t.rejects(connection.request(metadata, question), { code: 'LMQ_CONNECTION_CLOSED' })
})

t.test('no broker at all', async (t) => {
  const http = await listen(t, () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await t.rejects(open(http), { code: 'LMQ_PROTOCOL' })
  const free = await listen(t, () => undefined)
  await t.rejects(open({ host: '127.0.0.1', port: free.port }, { requestTimeoutMs: 50 }), {
    code: 'LMQ_REQUEST_TIMED_OUT',
  })
  const stranger = await listen(t, ({ correlationId }) => frame(correlationId + 1, versionsBody(3)))
  await t.rejects(open(stranger), { code: 'LMQ_PROTOCOL' })
})

t.test('nothing listens', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  await t.rejects(open({ host: '127.0.0.1', port }), { code: 'LMQ_CONNECTION_CLOSED' })
})
