import { defineMessage, int16 } from '../schema.ts'

export const controlRecordTypeSchema = defineMessage({
  name: 'ControlRecordTypeSchema',
  versions: '0',
  flexible: 'none',
  fields: {
    type: int16('0+'),
  },
})
