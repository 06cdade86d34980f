/** A UUID in Kafka's text form: 16 bytes as 22 characters of URL-safe base64 without padding. */
export type Uuid = string

/** All bits zero: "no id" on the wire. */
export const ZERO_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA'

/** Kafka's DirectoryId.LOST: a log directory that cannot be used any more, whichever it is (KIP-858). */
export const LOST_DIRECTORY: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ'

/** True for the 22-character form that stands for exactly 16 bytes. */
export function isUuid(text: string): boolean {
  return /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text)
}

/** Node's own direct paths, as in utf8.ts. */
type Base64Buffer = Buffer & {
  base64urlSlice(start: number, end: number): string
  base64urlWrite(text: string, offset: number, length: number): number
}

/** The uuid in the 16 bytes from `at`. Most are zero where ids are optional, so these make no string. */
export function uuidSlice(buffer: Buffer, at: number): Uuid {
  for (let i = at; i < at + 16; i++) {
    if (buffer[i] !== 0) return (buffer as Base64Buffer).base64urlSlice(at, at + 16)
  }
  return ZERO_UUID
}

/** @returns false when the text is no uuid; the 16 bytes are undefined then */
export function uuidWrite(buffer: Buffer, text: Uuid, at: number): boolean {
  if (typeof text !== 'string' || text.length !== 22) return false
  // The last character stands for two bits only: one of four letters.
  if (!'AQgw'.includes(text[21] as string)) return false
  return (buffer as Base64Buffer).base64urlWrite(text, at, 16) === 16
}
