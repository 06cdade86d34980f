import t from 'tap'
import {
  decodeRecords,
  encodeRecords,
  type RecordOf,
} from '../../../src/cluster/metadata-records.ts'

// Every field has a value of its own: one that is not written, or written twice, does not come back as it was.
const change: RecordOf<'partitionChange'> = {
  kind: 'partitionChange',
  topicId: 'AbCdEfGhIjKlMnOpQrStUw',
  partitionIndex: 1,
  isr: [2, 3],
  elr: [4],
  lastKnownElr: [5],
  emptied: [14],
  leader: 6,
  leaderRecoveryState: 1,
  leaderEpoch: 7,
  partitionEpoch: 8,
}
const partition: RecordOf<'partition'> = {
  ...change,
  kind: 'partition',
  replicas: [9, 10],
  addingReplicas: [11],
  removingReplicas: [12, 13],
}

t.test('records of partitions come back as they were', async (t) => {
  const empty = {
    isr: [],
    elr: [],
    lastKnownElr: [],
    emptied: [],
    leader: -1,
    leaderRecoveryState: 0,
  }
  const records = [
    change,
    partition,
    { ...change, ...empty },
    { ...partition, ...empty, addingReplicas: [], removingReplicas: [] },
  ]
  const bytes = encodeRecords(records)
  t.same(decodeRecords(bytes), records)
  const [, , short = ''] = bytes.toString().split('\n')
  t.same(Object.keys(JSON.parse(short)), [
    'kind',
    'topicId',
    'partitionIndex',
    'isr',
    'leader',
    'leaderEpoch',
    'partitionEpoch',
  ])
})
