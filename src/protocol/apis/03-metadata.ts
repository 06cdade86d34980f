import { array, bool, defineApi, errorCode, int32, int32s, string, uuid } from '../schema.ts'

/**
 * Who leads and holds which partition, and where brokers listen. Clients ask it first and whenever a leader has
 * moved; it may create a missing topic.
 *
 * Added: v1 racks, controller, internal topics; v2 cluster id (KIP-78); v3 throttle time; v4 whether to create
 * topics; v5 offline replicas (KIP-112); v7 leader epochs (KIP-320); v8 authorized operations (KIP-430), of the
 * cluster until v10 only (KIP-700); v9 compact form; v10 topic ids in answers, v12 in requests (KIP-516); v13 an
 * error for the whole answer (KIP-1102).
 *
 * In v0 an empty list of topics means all, from v1 on null does.
 */
export const metadata = defineApi({
  key: 3,
  name: 'Metadata',
  versions: '0-13',
  flexible: '9+',
  request: {
    topics: array(
      '0+',
      {
        topicId: uuid('10+', { ignorable: true }),
        name: string('0+', { nullable: '10+' }),
      },
      { nullable: '1+' },
    ),
    allowAutoTopicCreation: bool('4+', { default: true }),
    includeClusterAuthorizedOperations: bool('8-10'),
    includeTopicAuthorizedOperations: bool('8+'),
  },
  response: {
    throttleTimeMs: int32('3+', { default: 0, ignorable: true }),
    brokers: array('0+', {
      nodeId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('1+', { nullable: '1+', default: null, ignorable: true }),
    }),
    clusterId: string('2+', { nullable: '2+', default: null, ignorable: true }),
    controllerId: int32('1+', { default: -1, ignorable: true }),
    topics: array('0+', {
      errorCode: errorCode('0+'),
      name: string('0+', { nullable: '12+' }),
      topicId: uuid('10+', { ignorable: true }),
      isInternal: bool('1+', { default: false, ignorable: true }),
      partitions: array('0+', {
        errorCode: errorCode('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('7+', { default: -1, ignorable: true }),
        replicaNodes: int32s('0+'),
        isrNodes: int32s('0+'),
        offlineReplicas: int32s('5+', { ignorable: true }),
      }),
      topicAuthorizedOperations: int32('8+', { default: -2147483648 }),
    }),
    clusterAuthorizedOperations: int32('8-10', { default: -2147483648 }),
    errorCode: errorCode('13+', { ignorable: true }),
  },
})
