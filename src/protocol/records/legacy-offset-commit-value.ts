import { defineMessage, int64, string } from '../schema.ts'

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
