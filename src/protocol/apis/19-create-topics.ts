import {
  array,
  bool,
  defineApi,
  errorCode,
  int8,
  int16,
  int32,
  int32s,
  string,
  uuid,
} from '../schema.ts'

/**
 * Creates topics, by counts or by a replica assignment; `validateOnly` only tries.
 *
 * Added: v1 validation only, error text; v2 throttle time; v4 default counts by -1 (KIP-464); v5 compact form,
 * configs in the answer (KIP-525); v6 quota errors (KIP-599); v7 topic ids (KIP-516).
 *
 * Not served: v0-v1, which Kafka 4 dropped.
 */
export const createTopics = defineApi({
  key: 19,
  name: 'CreateTopics',
  versions: '0-7',
  flexible: '5+',
  request: {
    topics: array('0+', {
      name: string('0+'),
      numPartitions: int32('0+'),
      replicationFactor: int16('0+'),
      assignments: array('0+', {
        partitionIndex: int32('0+'),
        brokerIds: int32s('0+'),
      }),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    timeoutMs: int32('0+', { default: 60000 }),
    validateOnly: bool('1+', { default: false }),
  },
  response: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      topicId: uuid('7+', { ignorable: true }),
      errorCode: errorCode('0+'),
      errorMessage: string('1+', { nullable: '0+', ignorable: true }),
      topicConfigErrorCode: int16('5+', { tag: 0, ignorable: true }),
      numPartitions: int32('5+', { default: -1, ignorable: true }),
      replicationFactor: int16('5+', { default: -1, ignorable: true }),
      configs: array(
        '5+',
        {
          name: string('5+'),
          value: string('5+', { nullable: '5+' }),
          readOnly: bool('5+'),
          configSource: int8('5+', { default: -1, ignorable: true }),
          isSensitive: bool('5+'),
        },
        { nullable: '5+', ignorable: true },
      ),
    }),
  },
})
