import { alterClientQuotas } from '../../protocol/apis/49-alter-client-quotas.ts'
import { defineHandler } from '../handler.ts'

/** Sets and removes quotas (KIP-546). They are stored and described; nothing holds clients to them yet. */
export const alterClientQuotasHandler = defineHandler({
  api: alterClientQuotas,
  versions: '0-1',
  requires: 'ALTER_CONFIGS cluster',
  forwards: true,
  serve: async ({ entries, validateOnly }, { services }) => {
    const alterations = entries.map(({ entity, ops }) => ({
      entity: new Map(entity.map(({ entityType, entityName }) => [entityType, entityName])),
      ops,
    }))
    const outcomes = await services.controller.alterClientQuotas({ alterations, validateOnly })
    return {
      entries: outcomes.map(({ errorCode, errorMessage, entity }) => ({
        errorCode,
        errorMessage,
        entity: [...entity].map(([entityType, entityName]) => ({ entityType, entityName })),
      })),
    }
  },
  refuse: ({ entries }, errorCode) => ({
    entries: entries.map(({ entity }) => ({ errorCode, errorMessage: null, entity })),
  }),
})
