import { incrementalAlterConfigs } from '../../protocol/apis/44-incremental-alter-configs.ts'
import { defineHandler } from '../handler.ts'

/** Sets, deletes, appends to and subtracts from single settings (KIP-339). In force here when it is answered. */
export const incrementalAlterConfigsHandler = defineHandler({
  api: incrementalAlterConfigs,
  versions: '0-1',
  forwards: true,
  requires: 'ALTER_CONFIGS of each resource',
  serve: async ({ resources, validateOnly }, { services, connection }) => {
    // A broker's settings are changed by asking that broker, also where the controller is another one.
    const brokerId = connection.forwardedBy ?? services.broker.brokerId
    return {
      responses: await services.controller.incrementalAlterConfigs({
        resources,
        validateOnly,
        brokerId,
      }),
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
