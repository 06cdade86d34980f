import { defineMessage, string } from '../schema.ts'

export const consumerGroupRegularExpressionKey = defineMessage({
  name: 'ConsumerGroupRegularExpressionKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
    regularExpression: string('0'),
  },
})
