import { QuotaEntityType, type QuotaFilter, quotaEntityTypes } from '../../cluster/client-quotas.ts'
import { describeClientQuotas } from '../../protocol/apis/48-describe-client-quotas.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf } from '../../protocol/schema.ts'
import { defineHandler } from '../handler.ts'

/** How a component of the filter matches the name of an entity. */
const MatchType = { EXACT: 0, DEFAULT: 1, SPECIFIED: 2 } as const

type Request = RequestOf<typeof describeClientQuotas>
type Refused = { readonly errorCode: ErrorCode; readonly errorMessage: string }

/** Quotas as they are stored, of the entities that a filter names (KIP-546). */
export const describeClientQuotasHandler = defineHandler({
  api: describeClientQuotas,
  versions: '0-1',
  requires: 'DESCRIBE_CONFIGS cluster',
  serve: (request, { services }) => {
    const filter = filterOf(request)
    if ('errorCode' in filter) return { ...filter, entries: null }
    const entries = [...services.image.clientQuotas.find(filter)].map(({ entity, values }) => ({
      entity: [...entity].map(([entityType, entityName]) => ({ entityType, entityName })),
      values: [...values].map(([key, value]) => ({ key, value })),
    }))
    return { errorCode: ErrorCode.NONE, errorMessage: '', entries }
  },
  refuse: (_request, errorCode) => ({ errorCode, errorMessage: null, entries: null }),
})

const invalid = (errorMessage: string): Refused => ({
  errorCode: ErrorCode.INVALID_REQUEST,
  errorMessage,
})

/** In Kafka's words and order (ClientQuotasImage). */
function filterOf({ components, strict }: Request): QuotaFilter | Refused {
  const exact = new Map<string, string | null>()
  const any = new Set<string>()
  for (const { entityType, matchType, match } of components) {
    if (entityType === '') return invalid('Invalid empty entity type.')
    if (exact.has(entityType) || any.has(entityType)) {
      return invalid(`Entity type ${entityType} cannot appear more than once in the filter.`)
    }
    if (!quotaEntityTypes.includes(entityType)) {
      const errorMessage = `Unsupported entity type ${entityType}`
      return { errorCode: ErrorCode.UNSUPPORTED_VERSION, errorMessage }
    }
    const specified = (type: string) =>
      invalid(`Request specified MATCH_TYPE_${type}, but also specified a match string.`)
    switch (matchType) {
      case MatchType.EXACT:
        if (match === null) {
          return invalid('Request specified MATCH_TYPE_EXACT, but set match string to null.')
        }
        exact.set(entityType, match)
        break
      case MatchType.DEFAULT:
        if (match !== null) return specified('DEFAULT')
        exact.set(entityType, null)
        break
      case MatchType.SPECIFIED:
        if (match !== null) return specified('SPECIFIED')
        any.add(entityType)
        break
      default:
        return invalid(`Unknown match type ${matchType}`)
    }
  }
  if ((exact.has(QuotaEntityType.IP) || any.has(QuotaEntityType.IP)) && components.length > 1) {
    return invalid(
      'Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.',
    )
  }
  return { exact, any, strict }
}
