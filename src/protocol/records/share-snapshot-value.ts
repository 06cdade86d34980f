import { array, defineMessage, int8, int16, int32, int64 } from '../schema.ts'

/** Value of key 0 of `__share_group_state`: the whole state of a share partition (KIP-932). */
export const shareSnapshotValue = defineMessage({
  name: 'ShareSnapshotValue',
  versions: '0',
  flexible: '0+',
  fields: {
    snapshotEpoch: int32('0+'),
    stateEpoch: int32('0+'),
    leaderEpoch: int32('0+'),
    startOffset: int64('0+'),
    deliveryCompleteCount: int32('0+', { tag: 0, default: -1 }),
    createTimestamp: int64('0+'),
    writeTimestamp: int64('0+'),
    stateBatches: array('0+', {
      firstOffset: int64('0+'),
      lastOffset: int64('0+'),
      deliveryState: int8('0+'),
      deliveryCount: int16('0+'),
    }),
  },
})
