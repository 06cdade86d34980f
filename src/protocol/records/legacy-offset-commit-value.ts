import { defineMessage, int64, string } from '../schema.ts'

/** Value of key 0 of `__consumer_offsets`: an offset, as releases before 0.9 wrote it. Read, never written. */
export const legacyOffsetCommitValue = defineMessage({
  name: 'LegacyOffsetCommitValue',
  versions: '0',
  flexible: 'none',
  fields: {
    offset: int64('0'),
    metadata: string('0'),
    commitTimestamp: int64('0'),
  },
})
