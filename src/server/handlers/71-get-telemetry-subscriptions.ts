import { getTelemetrySubscriptions } from '../../protocol/apis/71-get-telemetry-subscriptions.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { defineHandler } from '../handler.ts'
import { telemetryClient } from './telemetry-client.ts'

const refused = (errorCode: ErrorCode) => ({
  errorCode,
  clientInstanceId: ZERO_UUID,
  subscriptionId: 0,
  acceptedCompressionTypes: [],
  pushIntervalMs: 0,
  telemetryMaxBytes: 0,
  deltaTemporality: false,
  requestedMetrics: [],
})

/** Tells a client which of its metrics are wanted (KIP-714). */
export const getTelemetrySubscriptionsHandler = defineHandler({
  api: getTelemetrySubscriptions,
  versions: '0',
  requires: 'none',
  serve: ({ clientInstanceId }, context) => {
    const { telemetry } = context.services
    const client = telemetryClient(context)
    const subscription = telemetry.subscribe(clientInstanceId, client, context.connection)
    if (typeof subscription === 'number') return refused(subscription)
    return { errorCode: ErrorCode.NONE, ...subscription }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})
