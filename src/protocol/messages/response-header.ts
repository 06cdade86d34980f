import { defineMessage, int32 } from '../schema.ts'

export const responseHeader = defineMessage({
  name: 'ResponseHeader',
  versions: '0-1',
  flexible: '1+',
  fields: {
    correlationId: int32('0+'),
  },
})
