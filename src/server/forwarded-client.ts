/** A client as an Envelope names it: its principal and its address, in Kafka's forms. */
import { defaultPrincipalData } from '../protocol/messages/default-principal-data.ts'
import { Reader } from '../protocol/reader.ts'
import { Writer } from '../protocol/writer.ts'

const ANONYMOUS = 'User:ANONYMOUS'

/** @param principal `User:name` */
export function principalBytes(principal: string): Buffer {
  const colon = principal.indexOf(':')
  const writer = new Writer(true)
  writer.int16(0)
  const fields = {
    type: principal.slice(0, colon),
    name: principal.slice(colon + 1),
    tokenAuthenticated: false,
  }
  defaultPrincipalData.write(writer, fields, 0)
  return Buffer.concat(writer.finish())
}

/** @throws LMQ_PROTOCOL */
export function principalOf(bytes: Buffer | null): string {
  if (bytes === null) return ANONYMOUS
  const reader = new Reader(bytes)
  const { type, name } = defaultPrincipalData.read(reader, reader.int16())
  return `${type}:${name}`
}

/** 4 bytes of IPv4 or 16 of IPv6; none for what is neither. */
export function addressBytes(address: string): Buffer {
  const parts = address.split('.')
  if (parts.length === 4 && !address.includes(':')) return Buffer.from(parts.map(Number))
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? []
  const wordsOf = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16))
  const first = wordsOf(head)
  const last = tail === undefined ? [] : wordsOf(tail)
  const words = [
    ...first,
    ...new Array(Math.max(0, 8 - first.length - last.length)).fill(0),
    ...last,
  ]
  if (words.length !== 8 || words.some((word) => !(word >= 0 && word <= 0xffff))) {
    return Buffer.alloc(0)
  }
  const bytes = Buffer.alloc(16)
  for (const [at, word] of words.entries()) bytes.writeUInt16BE(word, at * 2)
  return bytes
}

export function textOfAddress(bytes: Buffer): string | undefined {
  if (bytes.length === 4) return [...bytes].join('.')
  if (bytes.length !== 16) return undefined
  const words = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16))
  return words.join(':')
}
