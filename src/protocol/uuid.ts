/** A UUID in Kafka's text form: 16 bytes as 22 characters of URL-safe base64 without padding. */
export type Uuid = string

/** All bits zero: "no id" on the wire. */
export const ZERO_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA'

/** True for the 22-character form that stands for exactly 16 bytes. */
export function isUuid(text: string): boolean {
  return /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text)
}
