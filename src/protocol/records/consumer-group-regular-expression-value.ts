import { defineMessage, int64, strings } from '../schema.ts'

/**
 * Value of key 16 of `__consumer_offsets`: the topics that a regular expression stood for, and when (KIP-848).
 */
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
