import { array, bool, defineApi, errorCode, int32, string, uint16, uuid } from '../schema.ts'

/**
 * Adds a controller to the voters of the metadata quorum (KIP-853).
 *
 * Added: v1 answers before or after the change is committed (KIP-1186).
 *
 * Not served yet.
 */
export const addRaftVoter = defineApi({
  key: 80,
  name: 'AddRaftVoter',
  versions: '0-1',
  flexible: '0+',
  request: {
    clusterId: string('0+', { nullable: '0+' }),
    timeoutMs: int32('0+'),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
    listeners: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
    }),
    ackWhenCommitted: bool('1+', { default: true }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+', ignorable: true }),
  },
})
