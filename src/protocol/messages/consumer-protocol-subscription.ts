import { array, bytes, defineMessage, int32, int32s, string, strings } from '../schema.ts'

/**
 * What a classic consumer puts into the metadata of JoinGroup. An int16 with the version stands before it; a reader
 * takes a higher version as the highest it knows. v1 owned partitions (KIP-429), v2 generation (KIP-792), v3 rack
 * (KIP-881).
 */
export const consumerProtocolSubscription = defineMessage({
  name: 'ConsumerProtocolSubscription',
  versions: '0-3',
  flexible: 'none',
  fields: {
    topics: strings('0+'),
    userData: bytes('0+', { nullable: '0+', default: null }),
    ownedPartitions: array(
      '1+',
      {
        topic: string('1+'),
        partitions: int32s('1+'),
      },
      { ignorable: true },
    ),
    generationId: int32('2+', { default: -1, ignorable: true }),
    rackId: string('3+', { nullable: '3+', default: null, ignorable: true }),
  },
})
