import {
  array,
  bool,
  defineApi,
  errorCode,
  int16,
  int32,
  int64,
  string,
  uint16,
  uuid,
  uuids,
} from '../schema.ts'

/**
 * A broker joins the cluster and gets its broker epoch (KIP-631).
 *
 * Added: v1 migration from ZooKeeper (KIP-866); v2 log directories (KIP-858); v3 epoch before a clean shutdown
 * (KIP-966); v4 features with a minimum of 0 (KIP-1022).
 *
 * For brokers of one cluster: neither told to clients nor served to them.
 */
export const brokerRegistration = defineApi({
  key: 62,
  name: 'BrokerRegistration',
  versions: '0-4',
  flexible: '0+',
  request: {
    brokerId: int32('0+'),
    clusterId: string('0+'),
    incarnationId: uuid('0+'),
    listeners: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
      securityProtocol: int16('0+'),
    }),
    features: array('0+', {
      name: string('0+'),
      minSupportedVersion: int16('0+'),
      maxSupportedVersion: int16('0+'),
    }),
    rack: string('0+', { nullable: '0+' }),
    isMigratingZkBroker: bool('1+', { default: false }),
    logDirs: uuids('2+', { ignorable: true }),
    previousBrokerEpoch: int64('3+', { default: -1, ignorable: true }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    brokerEpoch: int64('0+', { default: -1 }),
  },
})
