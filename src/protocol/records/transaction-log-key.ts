import { defineMessage, string } from '../schema.ts'

/** Key 0 of `__transaction_state`: a transactional id. */
export const transactionLogKey = defineMessage({
  name: 'TransactionLogKey',
  versions: '0',
  flexible: 'none',
  fields: {
    transactionalId: string('0'),
  },
})
