import { array, defineApi, errorCode, int8, int32, int32s, string } from '../schema.ts'

/**
 * Elects the preferred replica or, if need be, any living one as leader (KIP-183, KIP-460).
 *
 * Added: v1 election type, error for the whole answer; v2 compact form.
 */
export const electLeaders = defineApi({
  key: 43,
  name: 'ElectLeaders',
  versions: '0-2',
  flexible: '2+',
  request: {
    electionType: int8('1+'),
    topicPartitions: array(
      '0+',
      {
        topic: string('0+'),
        partitions: int32s('0+'),
      },
      { nullable: '0+' },
    ),
    timeoutMs: int32('0+', { default: 60000 }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('1+'),
    replicaElectionResults: array('0+', {
      topic: string('0+'),
      partitionResult: array('0+', {
        partitionId: int32('0+'),
        errorCode: errorCode('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
})
