import { array, defineApi, errorCode, int8, int32, string } from '../schema.ts'

/**
 * Adds access rules.
 *
 * Added: v1 pattern types (KIP-290); v2 compact form; v3 the resource type USER (KIP-373).
 *
 * Not served yet.
 */
export const createAcls = defineApi({
  key: 30,
  name: 'CreateAcls',
  versions: '0-3',
  flexible: '2+',
  request: {
    creations: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      resourcePatternType: int8('1+', { default: 3 }),
      principal: string('0+'),
      host: string('0+'),
      operation: int8('0+'),
      permissionType: int8('0+'),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      errorCode: errorCode('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
    }),
  },
})
