import { brokerRegistration } from '../protocol/apis/62-broker-registration.ts'
import { bool, defineApi, string } from '../protocol/schema.ts'

/**
 * BrokerRegistration as LMQ's brokers speak it among themselves: Kafka's message, and behind its own tags what decides
 * whether a broker that comes back lost anything. Brokers that do not know the tags pass over them.
 */
export const clusterRegistration = defineApi({
  key: brokerRegistration.key,
  name: 'BrokerRegistration',
  versions: '0-4',
  flexible: '0+',
  request: {
    ...brokerRegistration.request.fields,
    /** Of the machine's run: the page cache survives as long as it does. */
    bootId: string('0+', { tag: 10_000, nullable: '0+', default: null }),
    /** Brokers of one host fail together. */
    hostId: string('0+', { tag: 10_001, nullable: '0+', default: null }),
    /** Recovery found every log whole and cut nothing off. */
    logsWhole: bool('0+', { tag: 10_002, default: false }),
  },
  response: brokerRegistration.response.fields,
})

/** Numbers of the security protocols on the wire (SecurityProtocol.java). */
export const securityProtocols = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const
