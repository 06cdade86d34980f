import { alterConfigs } from '../../protocol/apis/33-alter-configs.ts'
import { defineHandler } from '../handler.ts'

/** Replaces *all* settings of each resource. Clients should use IncrementalAlterConfigs (KIP-339), which replaces this. */
export const alterConfigsHandler = defineHandler({
  api: alterConfigs,
  versions: '0-2',
  forwards: true,
  requires: 'ALTER_CONFIGS of each resource',
  serve: async ({ resources, validateOnly }, { services, connection }) => {
    // A broker's settings are changed by asking that broker, also where the controller is another one.
    const brokerId = connection.forwardedBy ?? services.broker.brokerId
    return {
      responses: await services.controller.alterConfigs({ resources, validateOnly, brokerId }),
    }
  },
  refuse: ({ resources }, errorCode) => ({
    responses: resources.map(({ resourceType, resourceName }) => ({
      errorCode,
      errorMessage: null,
      resourceType,
      resourceName,
    })),
  }),
})
