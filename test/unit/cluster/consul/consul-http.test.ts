// Goal: every answer of an agent, and every silence, is told for what it is, in time, and the next address takes over.
// Method: agents that answer by script, on ports of this machine.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { ConsulHttp } from '../../../../src/cluster/consul/consul-http.ts'
import type {
  ConsulFailure,
  ConsulFailureKind,
} from '../../../../src/cluster/consul/consul-port.ts'

type Script = (request: IncomingMessage, response: ServerResponse) => void

type Agent = { readonly server: Server; readonly port: number; calls: string[] }

async function agent(t: Test, script: Script): Promise<Agent> {
  const calls: string[] = []
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`)
    request.resume()
    script(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, port: (server.address() as { port: number }).port, calls }
}

/** A port that refuses connections. */
async function refusing(t: Test): Promise<number> {
  const { server, port } = await agent(t, () => {})
  server.close()
  await once(server, 'close')
  return port
}

function connect(t: Test, ...ports: number[]): ConsulHttp {
  const addresses = ports.map((port) => ({ host: '127.0.0.1', port, secure: false }))
  const http = new ConsulHttp({ addresses, token: 'secret', tls: undefined, timeoutMs: 300 })
  t.teardown(() => http.close())
  return http
}

const text = (status: number, body = ''): Script => {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/plain' })
    response.end(body)
  }
}

const json = (status: number, body: unknown, headers = {}): Script => {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
}

const pair = { Key: 'k', Value: Buffer.from('v').toString('base64'), ModifyIndex: 7, Session: 's' }
const serving = json(200, [pair], { 'x-consul-index': '9' })

const kindOf = (call: Promise<unknown>): Promise<ConsulFailureKind | undefined> =>
  call.then(
    () => undefined,
    (error: ConsulFailure) => error.kind,
  )

t.test('a key, with its index, its holder and the token', async (t) => {
  let token: unknown
  const { port, calls } = await agent(t, (request, response) => {
    token = request.headers['x-consul-token']
    serving(request, response)
  })
  const http = connect(t, port)
  const answer = await http.get('a/k', { consistent: true, waitIndex: 5, waitMs: 1_000 })
  t.match(answer, { index: 9, pair: { key: 'k', modifyIndex: 7, sessionId: 's' } })
  t.equal(answer.pair?.value.toString(), 'v')
  t.equal(token, 'secret')
  t.match(calls[0], /^GET \/v1\/kv\/a%2Fk\?.*consistent/)
  t.match(calls[0], /index=5/)
  t.match(calls[0], /wait=1000ms/)
  await http.get('a/k', { waitIndex: 0 })
  t.notMatch(calls[1], /index|wait/, 'index 0 is never sent')
})

t.test('what is not there', async (t) => {
  const { port } = await agent(t, json(404, '', { 'x-consul-index': '3' }))
  const http = connect(t, port)
  t.strictSame(await http.get('k', {}), { index: 3, pair: undefined })
  t.strictSame(await http.list('k'), [])
  t.strictSame(await http.keys('k', '/'), [])
  t.equal(await http.renewSession('s'), false)
  t.equal(await http.passCheck('s', ''), false)
})

t.test('failures are told apart', async (t) => {
  const told: readonly [number, ConsulFailureKind][] = [
    [400, 'invalid'],
    [403, 'denied'],
    [413, 'invalid'],
    [429, 'unreachable'],
    [500, 'unknown'],
    [503, 'unknown'],
  ]
  for (const [status, kind] of told) {
    const { port } = await agent(t, text(status, 'No cluster leader'))
    const http = connect(t, port)
    t.equal(await kindOf(http.transaction([{ verb: 'delete', key: 'k' }])), kind, String(status))
    t.equal(await kindOf(http.get('k', {})), kind, String(status))
  }
  t.equal(await kindOf(connect(t, await refusing(t)).get('k', {})), 'unreachable')
})

t.test('a transaction that conflicts, and one that is denied', async (t) => {
  const conflict = { Results: null, Errors: [{ OpIndex: 0, What: 'current session is wrong' }] }
  const one = await agent(t, json(409, conflict))
  const answer = await connect(t, one.port).transaction([{ verb: 'delete', key: 'k' }])
  t.strictSame(answer, { committed: false, why: 'current session is wrong' })
  const denied = { Results: null, Errors: [{ OpIndex: 0, What: 'Permission denied' }] }
  const two = await agent(t, json(409, denied))
  t.equal(await kindOf(connect(t, two.port).transaction([{ verb: 'delete', key: 'k' }])), 'denied')
})

t.test('an address that refuses is passed over within the same call', async (t) => {
  const { port, calls } = await agent(t, serving)
  const http = connect(t, await refusing(t), await refusing(t), port)
  t.equal((await http.get('k', {})).index, 9)
  await http.get('k', {})
  t.equal(calls.length, 2)
})

t.test(
  'after a failure whose outcome is unknown the next call goes to the next address',
  async (t) => {
    const first = await agent(t, text(500, 'leadership lost while committing log'))
    const second = await agent(t, serving)
    const http = connect(t, first.port, second.port)
    t.equal(await kindOf(http.get('k', {})), 'unknown')
    t.equal((await http.get('k', {})).index, 9)
    t.equal((await http.get('k', {})).index, 9)
    t.equal(first.calls.length, 1, 'it stays with the one that serves')
  },
)

t.test('silence ends at the deadline, of blocking queries too', async (t) => {
  const silent = await agent(t, () => {})
  const half = await agent(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('[')
  })
  const cut = await agent(t, (request) => request.socket.destroy())
  for (const { port } of [silent, half, cut]) {
    const http = connect(t, port)
    t.equal(await kindOf(http.get('k', {})), 'unknown')
    t.equal(await kindOf(http.get('k', { waitIndex: 4, waitMs: 200 })), 'unknown')
    t.equal(await kindOf(http.transaction([{ verb: 'delete', key: 'k' }])), 'unknown')
  }
})

t.test('closing ends what is under way', async (t) => {
  const { port, calls } = await agent(t, () => {})
  const http = connect(t, port)
  const waiting = kindOf(http.get('k', { waitIndex: 4, waitMs: 600_000 }))
  while (calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  await http.close()
  t.equal(await waiting, 'unknown')
  t.equal(await kindOf(http.get('k', {})), 'unreachable')
})
