import { defineMessage, int32, int64 } from '../schema.ts'

/** Value of key 12 of `__consumer_offsets`: the epoch of the target assignment (KIP-932). */
export const shareGroupTargetAssignmentMetadataValue = defineMessage({
  name: 'ShareGroupTargetAssignmentMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    assignmentEpoch: int32('0+'),
    assignmentTimestamp: int64('0+', { tag: 0, default: 0, ignorable: true }),
  },
})
