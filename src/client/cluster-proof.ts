/**
 * How two brokers of one cluster prove to each other who they are, as a SASL mechanism: both know the secret of the
 * metadata log, neither sends it. Each proof covers both nonces and both broker ids, so that none fits another
 * connection or the other side.
 *
 * Client: {brokerId, nonce}. Server: {brokerId, nonce, proof}. Client: {proof}. Server: nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** As SaslHandshake names it. */
export const CLUSTER_MECHANISM = 'LMQ-CLUSTER'
export const NONCE_BYTES = 24
/** Longer messages are not looked at. */
const MAX_MESSAGE_BYTES = 512

type Side = 'client' | 'server'
type Hello = { readonly brokerId: number; readonly nonce: string }

function proofOf(secret: string, side: Side, client: Hello, server: Hello): Buffer {
  const text = [side, client.brokerId, client.nonce, server.brokerId, server.nonce].join('|')
  return createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest()
}

function isProof(given: unknown, expected: Buffer): boolean {
  if (typeof given !== 'string') return false
  const bytes = Buffer.from(given, 'base64')
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}

const encode = (message: object): Buffer => Buffer.from(JSON.stringify(message))

function decode(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  if (bytes.length > MAX_MESSAGE_BYTES) return undefined
  try {
    const found: unknown = JSON.parse(bytes.toString('utf8'))
    return found !== null && typeof found === 'object'
      ? (found as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function helloOf(message: Readonly<Record<string, unknown>> | undefined): Hello | undefined {
  const brokerId = message?.['brokerId']
  const nonce = message?.['nonce']
  if (!Number.isSafeInteger(brokerId) || (brokerId as number) < 0) return undefined
  if (typeof nonce !== 'string' || Buffer.from(nonce, 'base64').length !== NONCE_BYTES) {
    return undefined
  }
  return { brokerId: brokerId as number, nonce }
}

/** The side that connects. */
export class ClusterProver {
  readonly #secret: string
  readonly #hello: Hello
  readonly #peerId: number | undefined

  /**
   * @param nonce fresh random bytes
   * @param peerId who must be on the other side: whoever took the port of a broker that is gone could pass its proof off
   *   as one for himself at another broker. Undefined: any broker will do
   */
  constructor(secret: string, brokerId: number, nonce: Buffer, peerId?: number) {
    this.#secret = secret
    this.#hello = { brokerId, nonce: nonce.toString('base64') }
    this.#peerId = peerId
  }

  hello(): Buffer {
    return encode(this.#hello)
  }

  /** @returns what to send; undefined: the other side does not know the secret, or is another broker */
  answer(challenge: Buffer): Buffer | undefined {
    const message = decode(challenge)
    const server = helloOf(message)
    if (!server || (this.#peerId !== undefined && server.brokerId !== this.#peerId))
      return undefined
    const expected = proofOf(this.#secret, 'server', this.#hello, server)
    if (!isProof(message?.['proof'], expected)) return undefined
    const proof = proofOf(this.#secret, 'client', this.#hello, server)
    return encode({ proof: proof.toString('base64') })
  }
}

/** The side that is connected to: one object per login. */
export class ClusterLogin {
  readonly #secret: string
  readonly #own: Hello
  #client: Hello | undefined

  /** @param nonce fresh random bytes */
  constructor(secret: string, brokerId: number, nonce: Buffer) {
    this.#secret = secret
    this.#own = { brokerId, nonce: nonce.toString('base64') }
  }

  /**
   * @returns what to send, and the broker's id once it has proved it; undefined: refused
   */
  receive(bytes: Buffer): { reply: Buffer; brokerId: number | undefined } | undefined {
    // Without a secret everybody could prove that he knows it.
    if (this.#secret === '') return undefined
    const message = decode(bytes)
    const client = this.#client
    if (client === undefined) {
      const hello = helloOf(message)
      if (!hello) return undefined
      this.#client = hello
      const proof = proofOf(this.#secret, 'server', hello, this.#own)
      const reply = encode({ ...this.#own, proof: proof.toString('base64') })
      return { reply, brokerId: undefined }
    }
    const expected = proofOf(this.#secret, 'client', client, this.#own)
    if (!isProof(message?.['proof'], expected)) return undefined
    return { reply: Buffer.alloc(0), brokerId: client.brokerId }
  }
}
