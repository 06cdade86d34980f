import { defineMessage, int32 } from '../schema.ts'

export const endTxnMarker = defineMessage({
  name: 'EndTxnMarker',
  versions: '0',
  flexible: 'none',
  fields: {
    coordinatorEpoch: int32('0+'),
  },
})
