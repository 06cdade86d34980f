// Frames that real clients exchanged with Apache Kafka 4.3.1, recorded by test/tools/record-frames.ts. A line of
// frames/<client>.txt: API key, version, direction, the frame without its size in base64.
import { readdirSync, readFileSync } from 'node:fs'
import { requestHeader } from '../../src/protocol/messages/request-header.ts'
import { responseHeader } from '../../src/protocol/messages/response-header.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { apiByKey } from '../oracle/all-messages.ts'
import { type AnyMessage, isFlexible } from '../oracle/interpreter.ts'

export type Frame = {
  readonly client: string
  readonly key: number
  readonly version: number
  readonly direction: 'request' | 'response'
  readonly bytes: Buffer
}

const folder = new URL('frames/', import.meta.url)

export function recordedFrames(): Frame[] {
  return readdirSync(folder).flatMap((file) => {
    const lines = readFileSync(new URL(file, folder), 'utf8').trimEnd().split('\n')
    return lines.map((line) => {
      const [key, version, direction, base64 = ''] = line.split(' ')
      return {
        client: file.replace('.txt', ''),
        key: Number(key),
        version: Number(version),
        direction: direction === 'request' ? 'request' : 'response',
        bytes: Buffer.from(base64, 'base64'),
      } as const
    })
  })
}

/** The answer to ApiVersions has the oldest header always: the client may not know what the broker speaks. */
function headerVersion(api: Api, frame: Frame, flexible: boolean): number {
  if (frame.direction === 'request') return flexible ? 2 : 1
  return flexible && api.key !== 18 ? 1 : 0
}

export type OpenedFrame = {
  readonly header: Record<string, unknown>
  readonly headerLayout: AnyMessage
  readonly headerVersion: number
  readonly body: Record<string, unknown>
  readonly bodyLayout: AnyMessage
  /** Where the body begins and where decoding ended. */
  readonly bodyStart: number
  readonly end: number
}

export function openFrame(frame: Frame): OpenedFrame {
  const api = apiByKey(frame.key)
  const bodyLayout = api[frame.direction] as unknown as AnyMessage
  const version = headerVersion(api, frame, isFlexible(bodyLayout, frame.version))
  const headerLayout = (frame.direction === 'request'
    ? requestHeader
    : responseHeader) as unknown as AnyMessage
  const reader = new Reader(frame.bytes)
  const header = headerLayout.read(reader, version) as Record<string, unknown>
  const bodyStart = reader.position
  const body = bodyLayout.read(reader, frame.version) as Record<string, unknown>
  return {
    header,
    headerLayout,
    headerVersion: version,
    body,
    bodyLayout,
    bodyStart,
    end: reader.position,
  }
}
