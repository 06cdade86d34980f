import { defineMessage, string, strings } from '../schema.ts'

/** Value of key 10 of `__consumer_offsets`: what a member of a share group is and subscribes to (KIP-932). */
export const shareGroupMemberMetadataValue = defineMessage({
  name: 'ShareGroupMemberMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    rackId: string('0+', { nullable: '0+' }),
    clientId: string('0+'),
    clientHost: string('0+'),
    subscribedTopicNames: strings('0+'),
  },
})
