import { array, bytes, defineMessage, int32, string, strings, struct } from '../schema.ts'

/**
 * Value of key 5 of `__consumer_offsets`: what a member of a consumer group is and subscribes to (KIP-848). Classic
 * members of a group in migration keep their protocols in it.
 */
export const consumerGroupMemberMetadataValue = defineMessage({
  name: 'ConsumerGroupMemberMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    instanceId: string('0+', { nullable: '0+' }),
    rackId: string('0+', { nullable: '0+' }),
    clientId: string('0+'),
    clientHost: string('0+'),
    subscribedTopicNames: strings('0+'),
    subscribedTopicRegex: string('0+', { nullable: '0+' }),
    rebalanceTimeoutMs: int32('0+', { default: -1 }),
    serverAssignor: string('0+', { nullable: '0+' }),
    classicMemberMetadata: struct(
      '0+',
      {
        sessionTimeoutMs: int32('0+'),
        supportedProtocols: array('0+', {
          name: string('0+'),
          metadata: bytes('0+'),
        }),
      },
      { nullable: '0+', tag: 0, default: null },
    ),
  },
})
