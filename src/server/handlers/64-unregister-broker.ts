import { unregisterBroker } from '../../protocol/apis/64-unregister-broker.ts'
import { defineHandler } from '../handler.ts'

/** Forgets a broker that will not come back. */
export const unregisterBrokerHandler = defineHandler({
  api: unregisterBroker,
  versions: '0',
  requires: 'ALTER cluster',
  forwards: true,
  serve: ({ brokerId }, { services }) => services.controller.unregisterBroker(brokerId),
  refuse: (_request, errorCode) => ({ errorCode, errorMessage: null }),
})
