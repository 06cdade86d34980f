import { defineMessage, int16 } from '../schema.ts'

/**
 * The key of a control record behind its version, an int16: 0 abort, 1 commit, 2 leader change, 3 snapshot header, 4
 * snapshot footer, 5 KRaft version, 6 voters. Readers skip types that they do not know.
 */
export const controlRecordTypeSchema = defineMessage({
  name: 'ControlRecordTypeSchema',
  versions: '0',
  flexible: 'none',
  fields: {
    type: int16('0+'),
  },
})
