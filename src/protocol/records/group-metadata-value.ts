import { array, bytes, defineMessage, int32, int64, string } from '../schema.ts'

const memberMetadata = {
  memberId: string('0+'),
  groupInstanceId: string('3+', { nullable: '3+', default: null, ignorable: true }),
  clientId: string('0+'),
  clientHost: string('0+'),
  rebalanceTimeout: int32('1+', { default: -1, ignorable: true }),
  sessionTimeout: int32('0+'),
  subscription: bytes('0+'),
  assignment: bytes('0+'),
}

/**
 * Value of key 2 of `__consumer_offsets`: a classic group with its members, after a rebalance. No value: the group
 * is gone. v1 rebalance time-out, v2 time of the last change, v3 static members (KIP-345), v4 compact form.
 */
export const groupMetadataValue = defineMessage({
  name: 'GroupMetadataValue',
  versions: '0-4',
  flexible: '4+',
  fields: {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: string('0+', { nullable: '0+' }),
    leader: string('0+', { nullable: '0+' }),
    currentStateTimestamp: int64('2+', { default: -1, ignorable: true }),
    members: array('0+', memberMetadata),
  },
})
