import { defineMessage, string } from '../schema.ts'

export const transactionLogKey = defineMessage({
  name: 'TransactionLogKey',
  versions: '0',
  flexible: 'none',
  fields: {
    transactionalId: string('0'),
  },
})
