import { array, defineApi, errorCode, int32, string, strings } from '../schema.ts'

/**
 * All groups that this broker coordinates.
 *
 * Added: v1 throttle time; v3 compact form; v4 by state (KIP-518); v5 by type (KIP-848).
 */
export const listGroups = defineApi({
  key: 16,
  name: 'ListGroups',
  versions: '0-5',
  flexible: '3+',
  request: {
    statesFilter: strings('4+'),
    typesFilter: strings('5+'),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: errorCode('0+'),
    groups: array('0+', {
      groupId: string('0+'),
      protocolType: string('0+'),
      groupState: string('4+', { ignorable: true }),
      groupType: string('5+', { ignorable: true }),
    }),
  },
})
