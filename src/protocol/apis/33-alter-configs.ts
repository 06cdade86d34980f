import { array, bool, defineApi, errorCode, int8, int32, string } from '../schema.ts'

/**
 * Replaces all dynamic settings of topics or brokers (KIP-133). Whoever sends it means IncrementalAlterConfigs, most
 * times.
 *
 * Added: v2 compact form.
 */
export const alterConfigs = defineApi({
  key: 33,
  name: 'AlterConfigs',
  versions: '0-2',
  flexible: '2+',
  request: {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    responses: array('0+', {
      errorCode: errorCode('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8('0+'),
      resourceName: string('0+'),
    }),
  },
})
