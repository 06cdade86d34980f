import { bool, defineApi, errorCode, int32, int64, uuids } from '../schema.ts'

/**
 * A broker tells the controller that it is alive and how far it has read the metadata; asks to be unfenced or to
 * shut down (KIP-631).
 *
 * Added: v1 offline directories (KIP-858); v2 cordoned directories (KIP-1066).
 *
 * For brokers of one cluster: neither told to clients nor served to them.
 */
export const brokerHeartbeat = defineApi({
  key: 63,
  name: 'BrokerHeartbeat',
  versions: '0-2',
  flexible: '0+',
  request: {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+', { default: -1 }),
    currentMetadataOffset: int64('0+'),
    wantFence: bool('0+'),
    wantShutDown: bool('0+'),
    offlineLogDirs: uuids('1+', { tag: 0 }),
    cordonedLogDirs: uuids('2+', { nullable: '2+', tag: 1, default: null }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    isCaughtUp: bool('0+', { default: false }),
    isFenced: bool('0+', { default: true }),
    shouldShutDown: bool('0+'),
  },
})
