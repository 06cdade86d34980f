import { array, defineApi, errorCode, int8, int32, int32s, int64, string, uuid } from '../schema.ts'

/**
 * A partition leader asks the controller to change the in-sync replicas; refused when its partition epoch is old
 * (KIP-497).
 *
 * Added: v1 recovery after an unclean election (KIP-704); v2 topics by id; v3 broker epochs of the replicas
 * (KIP-903).
 *
 * For brokers of one cluster: neither told to clients nor served to them.
 */
export const alterPartition = defineApi({
  key: 56,
  name: 'AlterPartition',
  versions: '0-3',
  flexible: '0+',
  request: {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+', { default: -1 }),
    topics: array('0+', {
      topicName: string('0-1', { ignorable: true }),
      topicId: uuid('2+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        leaderEpoch: int32('0+'),
        newIsr: int32s('0-2'),
        newIsrWithEpochs: array('3+', {
          brokerId: int32('3+'),
          brokerEpoch: int64('3+', { default: -1 }),
        }),
        leaderRecoveryState: int8('1+', { default: 0 }),
        partitionEpoch: int32('0+'),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    topics: array('0+', {
      topicName: string('0-1', { ignorable: true }),
      topicId: uuid('2+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        isr: int32s('0+'),
        leaderRecoveryState: int8('1+', { default: 0, ignorable: true }),
        partitionEpoch: int32('0+'),
      }),
    }),
  },
})
