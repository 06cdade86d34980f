import { array, defineApi, errorCode, int8, int8s, int32, string } from '../schema.ts'

/**
 * Names of resources that have settings (KIP-1142).
 *
 * v0 was ListClientMetricsResources and knows those only (KIP-714); v1 resource types.
 */
export const listConfigResources = defineApi({
  key: 74,
  name: 'ListConfigResources',
  versions: '0-1',
  flexible: '0+',
  request: {
    resourceTypes: int8s('1+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    configResources: array('0+', {
      resourceName: string('0+'),
      resourceType: int8('1+', { default: 16, ignorable: true }),
    }),
  },
})
