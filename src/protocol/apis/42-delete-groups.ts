import { array, defineApi, errorCode, int32, string, strings } from '../schema.ts'

/**
 * Deletes empty groups with their offsets (KIP-229).
 *
 * Added: v2 compact form.
 */
export const deleteGroups = defineApi({
  key: 42,
  name: 'DeleteGroups',
  versions: '0-2',
  flexible: '2+',
  request: {
    groupsNames: strings('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      groupId: string('0+'),
      errorCode: errorCode('0+'),
    }),
  },
})
