import {
  array,
  defineApi,
  errorCode,
  int32,
  int64,
  records,
  string,
  struct,
  uint16,
  uuid,
} from '../schema.ts'

/**
 * Reads a snapshot of the metadata log in pieces (KIP-630).
 *
 * Added: v1 directory id, endpoints (KIP-853).
 *
 * Not served: LMQ's metadata log has no voters of its own.
 */
export const fetchSnapshot = defineApi({
  key: 59,
  name: 'FetchSnapshot',
  versions: '0-1',
  flexible: '0+',
  request: {
    clusterId: string('0+', { nullable: '0+', tag: 0, default: null }),
    replicaId: int32('0+', { default: -1 }),
    maxBytes: int32('0+', { default: 2147483647 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('0+'),
        snapshotId: struct('0+', {
          endOffset: int64('0+'),
          epoch: int32('0+'),
        }),
        position: int64('0+'),
        replicaDirectoryId: uuid('1+', { tag: 0, ignorable: true }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    errorCode: errorCode('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        index: int32('0+'),
        errorCode: errorCode('0+'),
        snapshotId: struct('0+', {
          endOffset: int64('0+'),
          epoch: int32('0+'),
        }),
        currentLeader: struct(
          '0+',
          {
            leaderId: int32('0+'),
            leaderEpoch: int32('0+'),
          },
          { tag: 0 },
        ),
        size: int64('0+'),
        position: int64('0+'),
        unalignedRecords: records('0+'),
      }),
    }),
    nodeEndpoints: array(
      '1+',
      {
        nodeId: int32('1+'),
        host: string('1+'),
        port: uint16('1+'),
      },
      { tag: 0 },
    ),
  },
})
