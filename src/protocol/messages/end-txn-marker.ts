import { defineMessage, int32 } from '../schema.ts'

/** The value of a commit or abort marker (KIP-98). An int16 with the version stands before it. */
export const endTxnMarker = defineMessage({
  name: 'EndTxnMarker',
  versions: '0',
  flexible: 'none',
  fields: {
    coordinatorEpoch: int32('0+'),
  },
})
