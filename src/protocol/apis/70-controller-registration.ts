import { array, bool, defineApi, errorCode, int16, int32, string, uint16, uuid } from '../schema.ts'

/**
 * A controller registers its endpoints and features (KIP-919).
 *
 * Not served: it is for brokers and controllers, and there is one broker so far.
 */
export const controllerRegistration = defineApi({
  key: 70,
  name: 'ControllerRegistration',
  versions: '0',
  flexible: '0+',
  request: {
    controllerId: int32('0+'),
    incarnationId: uuid('0+'),
    zkMigrationReady: bool('0+'),
    listeners: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
      securityProtocol: int16('0+'),
    }),
    features: array('0+', {
      name: string('0+'),
      minSupportedVersion: int16('0+'),
      maxSupportedVersion: int16('0+'),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
  },
})
