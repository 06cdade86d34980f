import t from 'tap'
import { ClusterLogin, ClusterProver, NONCE_BYTES } from '../../../src/client/cluster-proof.ts'

const secret = Buffer.alloc(32, 5).toString('base64')
const nonce = (fill: number) => Buffer.alloc(NONCE_BYTES, fill)

/** The server's challenge for a broker that wants to talk to `peerId`. */
function challengeOf(prover: ClusterProver, serverId: number) {
  const login = new ClusterLogin(secret, serverId, nonce(2))
  return { login, challenge: login.receive(prover.hello())?.reply ?? Buffer.alloc(0) }
}

t.test('two brokers prove to each other who they are', async (t) => {
  const prover = new ClusterProver(secret, 1, nonce(1), 2)
  const { login, challenge } = challengeOf(prover, 2)
  const proof = prover.answer(challenge)
  t.ok(proof)
  t.equal(login.receive(proof ?? Buffer.alloc(0))?.brokerId, 1)
})

t.test('a challenge of another broker than the one that was called is not answered', async (t) => {
  const prover = new ClusterProver(secret, 1, nonce(1), 3)
  const { challenge } = challengeOf(prover, 2)
  t.equal(prover.answer(challenge), undefined)
})

t.test('a proof fits no other login, and not the other side', async (t) => {
  const prover = new ClusterProver(secret, 1, nonce(1), 2)
  const { challenge } = challengeOf(prover, 2)
  const proof = prover.answer(challenge) ?? Buffer.alloc(0)
  const other = new ClusterLogin(secret, 2, nonce(3))
  other.receive(prover.hello())
  t.equal(other.receive(proof), undefined)
  const mirrored = new ClusterLogin(secret, 2, nonce(2))
  mirrored.receive(prover.hello())
  t.equal(mirrored.receive(challenge), undefined)
})
