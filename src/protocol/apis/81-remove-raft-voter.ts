import { defineApi, errorCode, int32, string, uuid } from '../schema.ts'

/**
 * Removes a controller from the voters of the metadata quorum (KIP-853).
 *
 * Not served yet.
 */
export const removeRaftVoter = defineApi({
  key: 81,
  name: 'RemoveRaftVoter',
  versions: '0',
  flexible: '0+',
  request: {
    clusterId: string('0+', { nullable: '0+' }),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+', ignorable: true }),
  },
})
