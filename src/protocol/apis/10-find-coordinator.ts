import { array, defineApi, errorCode, int8, int32, string, strings } from '../schema.ts'

/**
 * Which broker coordinates a group (key type 0), a transactional id (1) or a share partition (2).
 *
 * Added: v1 key type, throttle time, error text (KIP-98); v3 compact form; v4 several keys at once (KIP-699); v5
 * newer transaction errors (KIP-890); v6 share partitions (KIP-932).
 *
 * Not served: transactional ids and share partitions, until there are coordinators for them.
 */
export const findCoordinator = defineApi({
  key: 10,
  name: 'FindCoordinator',
  versions: '0-6',
  flexible: '3+',
  request: {
    key: string('0-3'),
    keyType: int8('1+', { default: 0 }),
    coordinatorKeys: strings('4+'),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: errorCode('0-3'),
    errorMessage: string('1-3', { nullable: '1-3', ignorable: true }),
    nodeId: int32('0-3'),
    host: string('0-3'),
    port: int32('0-3'),
    coordinators: array('4+', {
      key: string('4+'),
      nodeId: int32('4+'),
      host: string('4+'),
      port: int32('4+'),
      errorCode: errorCode('4+'),
      errorMessage: string('4+', { nullable: '4+', ignorable: true }),
    }),
  },
})
