import { array, defineMessage, int8, int16, int32, int64 } from '../schema.ts'

/**
 * Value of key 1 of `__share_group_state`: what has changed since the last snapshot of a share partition (KIP-932).
 */
export const shareUpdateValue = defineMessage({
  name: 'ShareUpdateValue',
  versions: '0',
  flexible: '0+',
  fields: {
    snapshotEpoch: int32('0+'),
    leaderEpoch: int32('0+'),
    startOffset: int64('0+'),
    deliveryCompleteCount: int32('0+', { tag: 0, default: -1 }),
    stateBatches: array('0+', {
      firstOffset: int64('0+'),
      lastOffset: int64('0+'),
      deliveryState: int8('0+'),
      deliveryCount: int16('0+'),
    }),
  },
})
