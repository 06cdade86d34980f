import { bool, bytes, defineApi, errorCode, int8, int32, uuid } from '../schema.ts'

/**
 * A client pushes its metrics, in OpenTelemetry's encoding (KIP-714). Kafka advertises it only where a
 * plugin receives them.
 */
export const pushTelemetry = defineApi({
  key: 72,
  name: 'PushTelemetry',
  versions: '0',
  flexible: '0+',
  request: {
    clientInstanceId: uuid('0+'),
    subscriptionId: int32('0+'),
    terminating: bool('0+'),
    compressionType: int8('0+'),
    metrics: bytes('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
  },
})
