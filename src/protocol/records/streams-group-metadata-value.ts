import { array, defineMessage, int32, int64, string } from '../schema.ts'

const lastAssignmentConfig = {
  key: string('0+'),
  value: string('0+'),
}

/**
 * Value of key 17 of `__consumer_offsets`: the epoch of a Streams group, and the settings of its last assignment
 * (KIP-1071).
 */
export const streamsGroupMetadataValue = defineMessage({
  name: 'StreamsGroupMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    epoch: int32('0+'),
    metadataHash: int64('0+'),
    validatedTopologyEpoch: int32('0+', { tag: 0, default: -1 }),
    lastAssignmentConfigs: array('0+', lastAssignmentConfig, {
      nullable: '0+',
      tag: 1,
      default: null,
    }),
  },
})
