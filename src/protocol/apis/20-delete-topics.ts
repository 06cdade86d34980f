import { array, defineApi, errorCode, int32, string, strings, uuid } from '../schema.ts'

/**
 * Deletes topics.
 *
 * Added: v1 throttle time; v3 TOPIC_DELETION_DISABLED; v4 compact form; v5 error text and quota errors (KIP-599); v6
 * topics by id (KIP-516).
 *
 * Not served: v0, which Kafka 4 dropped.
 */
export const deleteTopics = defineApi({
  key: 20,
  name: 'DeleteTopics',
  versions: '0-6',
  flexible: '4+',
  request: {
    topics: array('6+', {
      name: string('6+', { nullable: '6+', default: null }),
      topicId: uuid('6+'),
    }),
    topicNames: strings('0-5', { ignorable: true }),
    timeoutMs: int32('0+'),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    responses: array('0+', {
      name: string('0+', { nullable: '6+' }),
      topicId: uuid('6+', { ignorable: true }),
      errorCode: errorCode('0+'),
      errorMessage: string('5+', { nullable: '5+', default: null, ignorable: true }),
    }),
  },
})
