import { bool, defineApi, errorCode, int8s, int32, strings, uuid } from '../schema.ts'

/**
 * Asks which metrics of the client the cluster wants, and how often (KIP-714). Kafka advertises it only
 * where a plugin receives them.
 */
export const getTelemetrySubscriptions = defineApi({
  key: 71,
  name: 'GetTelemetrySubscriptions',
  versions: '0',
  flexible: '0+',
  request: {
    clientInstanceId: uuid('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    clientInstanceId: uuid('0+'),
    subscriptionId: int32('0+'),
    acceptedCompressionTypes: int8s('0+'),
    pushIntervalMs: int32('0+'),
    telemetryMaxBytes: int32('0+'),
    deltaTemporality: bool('0+'),
    requestedMetrics: strings('0+'),
  },
})
