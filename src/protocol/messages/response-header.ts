import { defineMessage, int32 } from '../schema.ts'

/**
 * What stands before every answer. v0 before the plain form and always before ApiVersions, v1 before the compact
 * form (KIP-482).
 */
export const responseHeader = defineMessage({
  name: 'ResponseHeader',
  versions: '0-1',
  flexible: '1+',
  fields: {
    correlationId: int32('0+'),
  },
})
