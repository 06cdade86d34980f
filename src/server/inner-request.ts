/**
 * Requests that did not come in a frame of their own: forwarded by another broker in an Envelope, or asked by this
 * broker of itself.
 */
import { AssertionError } from '../base/assert.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { Reader } from '../protocol/reader.ts'
import { inRange } from '../protocol/versions.ts'
import { Writer } from '../protocol/writer.ts'
import type { ApiTable, ServedApi } from './api-table.ts'
import { outcomeOf } from './error-mapping.ts'
import { EncodedBody, type HandlerContext } from './handler.ts'
import { MIN_HEADER_BYTES, RequestHeaderReader } from './request-header.ts'

const API_VERSIONS = 18
const FRAME_SIZE_BYTES = 4

/** Runs a handler; what it throws becomes its refusal, as on a connection. */
export async function serveRequest(
  served: ServedApi,
  request: unknown,
  context: HandlerContext,
): Promise<object> {
  const message = request as never
  try {
    return (await served.handler.serve?.(message, context)) as object
  } catch (error) {
    if (error instanceof AssertionError) throw error
    served.metrics.failures++
    const outcome = outcomeOf(error)
    const facts = { api: served.api.name, version: context.apiVersion, error }
    const { logger } = context.services
    if (outcome !== undefined) logger.warn(facts, 'a request could not be served')
    else logger.error(facts, 'a request failed because of a bug in the broker: please report it')
    return served.handler.refuse(message, outcome ?? ErrorCode.UNKNOWN_SERVER_ERROR, context)
  }
}

/**
 * Serves a request that another broker forwards: header and body as its client sent them.
 *
 * @returns header and body of the answer; undefined when it is no request that may be forwarded
 * @throws LMQ_PROTOCOL for bytes that cannot be read
 */
export async function serveForwarded(
  table: ApiTable,
  frame: Buffer,
  context: Omit<HandlerContext, 'apiVersion' | 'clientId'>,
): Promise<Buffer | undefined> {
  if (frame.length < MIN_HEADER_BYTES) return undefined
  const served = table.get(frame.readInt16BE(0))
  const version = frame.readInt16BE(2)
  if (!served?.forwards || !inRange(served.versions, version)) return undefined
  const isFlexible = inRange(served.api.flexible, version)
  const header = new RequestHeaderReader().read(frame, 0, frame.length, isFlexible)
  const request = served.api.request.read(
    new Reader(frame, header.bodyStart, frame.length),
    version,
  )
  served.metrics.requests++
  const { clientId, correlationId } = header
  const answer = await serveRequest(served, request, { ...context, apiVersion: version, clientId })
  const chunks = encodeAnswer(served, version, correlationId, answer)
  return Buffer.concat(chunks).subarray(FRAME_SIZE_BYTES)
}

/** One whole frame. @throws for an answer that has no place in its version */
export function encodeAnswer(
  { api, metrics }: ServedApi,
  version: number,
  correlationId: number,
  answer: object,
): Buffer[] {
  const writer = new Writer()
  try {
    writer.int32(0)
    writer.int32(correlationId)
    if (api.key !== API_VERSIONS && inRange(api.flexible, version)) writer.uvarint(0)
    if (answer instanceof EncodedBody) writer.chunk(answer.body)
    else api.response.write(writer, answer as never, version)
    metrics.responseBytes += writer.sizeBytes
    return writer.finishFrame()
  } finally {
    writer.release()
  }
}

/** The body of a forwarded request's answer. @throws when header or answer are cut off */
export function bodyOfForwarded(answer: Buffer, isFlexible: boolean): Buffer {
  return answer.subarray(isFlexible ? 5 : 4)
}
