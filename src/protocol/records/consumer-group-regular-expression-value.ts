import { defineMessage, int64, strings } from '../schema.ts'

export const consumerGroupRegularExpressionValue = defineMessage({
  name: 'ConsumerGroupRegularExpressionValue',
  versions: '0',
  flexible: '0+',
  fields: {
    topics: strings('0+'),
    version: int64('0+'),
    timestamp: int64('0+'),
  },
})
