import { pushTelemetry } from '../../protocol/apis/72-push-telemetry.ts'
import { defineHandler } from '../handler.ts'
import { telemetryClient } from './telemetry-client.ts'

/** Takes the metrics that a client pushes (KIP-714); they are shown on the metrics page. */
export const pushTelemetryHandler = defineHandler({
  api: pushTelemetry,
  versions: '0',
  requires: 'none',
  serve: async (request, context) => {
    const { services, connection } = context
    const client = telemetryClient(context)
    return { errorCode: await services.telemetry.push(request, client, connection) }
  },
  refuse: (_request, errorCode) => ({ errorCode }),
})
