import { alterConfigs } from '../../protocol/apis/33-alter-configs.ts'
import { defineHandler } from '../handler.ts'

/** Replaces *all* settings of each resource. Clients should use IncrementalAlterConfigs (KIP-339), which replaces this. */
export const alterConfigsHandler = defineHandler({
  api: alterConfigs,
  versions: '0-2',
  requires: 'ALTER_CONFIGS of each resource',
  serve: async ({ resources, validateOnly }, { services }) => {
    const { brokerId } = services.broker
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
