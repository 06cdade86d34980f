import { defineMessage, string } from '../schema.ts'

/** Key 16 of `__consumer_offsets`: a regular expression that members of a consumer group subscribe by. */
export const consumerGroupRegularExpressionKey = defineMessage({
  name: 'ConsumerGroupRegularExpressionKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    regularExpression: string('0'),
  },
})
