import { array, defineMessage, int32, string, struct, uint16 } from '../schema.ts'

const endpoint = {
  host: string('0+'),
  port: uint16('0+'),
}

const keyValue = {
  key: string('0+'),
  value: string('0+'),
}

/**
 * Value of key 19 of `__consumer_offsets`: what a member of a Streams group is and where it can be reached
 * (KIP-1071).
 */
export const streamsGroupMemberMetadataValue = defineMessage({
  name: 'StreamsGroupMemberMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    instanceId: string('0+', { nullable: '0+' }),
    rackId: string('0+', { nullable: '0+' }),
    clientId: string('0+'),
    clientHost: string('0+'),
    rebalanceTimeoutMs: int32('0+', { default: -1 }),
    topologyEpoch: int32('0+'),
    processId: string('0+'),
    userEndpoint: struct('0+', endpoint, { nullable: '0+', default: null }),
    clientTags: array('0+', keyValue),
  },
})
