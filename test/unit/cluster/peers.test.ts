// Goal: a dial tells a broker that lives from one that is gone, and from one of which only the system's socket is left.
// Method: real sockets: ports that answer, that take connections and say nothing or break them, and that are closed.
import { createServer, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import type { MetadataStore } from '../../../src/cluster/metadata-store.ts'
import { Peers } from '../../../src/cluster/peers.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'

type StoreMembers = MetadataStore['members']

async function listen(t: Test, onConnection: (socket: Socket) => void): Promise<[Server, number]> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return [server, (server.address() as { port: number }).port]
}

function peersOf(t: Test, port: number, members: StoreMembers = async () => []): Peers {
  const listeners = [{ name: 'INTERNAL', host: '127.0.0.1', port }]
  const peers = new Peers({
    io: createNodeIo(),
    brokerId: 1,
    image: {
      brokers: new Map([[2, { brokerId: 2, brokerEpoch: 1, fenced: false, listeners }]]),
      endpoint: () => listeners[0],
    } as unknown as MetadataImage,
    store: { members },
    listenerName: 'INTERNAL',
  })
  // Timers of a broker keep no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => {
    clearInterval(alive)
    peers.close()
  })
  return peers
}

t.test('one that answers', async (t) => {
  const [, port] = await listen(t, (socket) => {
    socket.once('data', () => socket.write('something'))
  })
  t.equal(await peersOf(t, port).dial(2, 5_000), 'answers')
})

t.test('one whose port is closed', async (t) => {
  const [server, port] = await listen(t, () => {})
  await new Promise((resolve) => server.close(resolve))
  t.equal(await peersOf(t, port).dial(2, 5_000), 'refused')
})

t.test('one whose port is closed, while the store does not answer', async (t) => {
  const [server, port] = await listen(t, () => {})
  await new Promise((resolve) => server.close(resolve))
  t.equal(await peersOf(t, port, () => new Promise(() => {})).dial(2, 5_000), 'refused')
})

t.test('one that takes connections and says nothing, as a process that hangs', async (t) => {
  const [, port] = await listen(t, () => {})
  t.equal(await peersOf(t, port).dial(2, 50), 'silent')
})

t.test(
  'one that breaks connections without a word, and is gone then: a killed process',
  async (t) => {
    let taken = 0
    const [server, port] = await listen(t, (socket) => {
      socket.destroy()
      if (++taken === 3) server.close()
    })
    t.equal(await peersOf(t, port).dial(2, 5_000), 'refused')
    t.equal(taken, 3)
  },
)

t.test('one that only breaks connections', async (t) => {
  const [, port] = await listen(t, (socket) => socket.destroy())
  t.equal(await peersOf(t, port).dial(2, 50), 'silent')
})
