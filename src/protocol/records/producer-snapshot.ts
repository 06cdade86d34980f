import { array, defineMessage, int16, int32, int64, uint32 } from '../schema.ts'

/**
 * A `.snapshot` file: the state of a partition's producers at the offset in the file's name. An int16 version (1)
 * stands before it; the checksum, CRC-32C, covers what follows it (class ProducerStateManager). Not a record, but
 * laid out like one.
 */
export const producerSnapshot = defineMessage({
  name: 'ProducerSnapshot',
  versions: '1',
  flexible: 'none',
  fields: {
    crc: uint32('1'),
    producerEntries: array('1', {
      producerId: int64('1'),
      epoch: int16('1'),
      lastSequence: int32('1'),
      lastOffset: int64('1'),
      offsetDelta: int32('1'),
      timestamp: int64('1'),
      coordinatorEpoch: int32('1'),
      currentTxnFirstOffset: int64('1'),
    }),
  },
})
