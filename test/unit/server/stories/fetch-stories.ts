import { fetch } from '../../../../src/protocol/apis/01-fetch.ts'
import { listOffsets } from '../../../../src/protocol/apis/02-list-offsets.ts'
import { deleteRecords } from '../../../../src/protocol/apis/21-delete-records.ts'
import { offsetForLeaderEpoch } from '../../../../src/protocol/apis/23-offset-for-leader-epoch.ts'
import { describeLogDirs } from '../../../../src/protocol/apis/35-describe-log-dirs.ts'
import { batch, gzipBatch, record, T } from './batches.ts'
import { fetchRequest, offsets, read, send, topic, type Wish } from './requests.ts'
import type { Answer, Story, Telling } from './telling.ts'

const UNKNOWN_ID = 'AbCdEfGhIjKlMnOpQrStUw'
const versions = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** A topic with three partitions: 0 holds three batches, 1 one large batch, 2 nothing. */
async function filled(s: Telling, plainName: string): Promise<string> {
  const name = await topic(s, plainName, 3)
  const put = (index: number, bytes: Buffer) => send(s, 9, { [name]: { [index]: bytes } })
  await put(0, batch([record('a', 'k', T), record('b', 'k', T + 10)]))
  await put(0, batch([record('c', 'k', T + 30), record('d', 'k', T + 20)]))
  await put(0, batch([record('e', 'k', T + 5)]))
  await put(1, batch([record('x'.repeat(3000))]))
  return name
}

export const fetchStories: Record<string, Story> = {
  'fetch at every version': async (s) => {
    const name = await filled(s, 'read')
    for (const version of versions(4, 18)) {
      const missing = version >= 13 ? UNKNOWN_ID : s.name('missing')
      await read(s, version, { [name]: { 0: {}, 1: {}, 2: {} } })
      await read(s, version, { [name]: { 0: { offset: 1 } } }, { isolationLevel: 1 })
      await read(s, version, { [name]: { 0: { offset: 5 }, 1: { offset: 2 }, 2: { offset: -1 } } })
      await read(s, version, {
        [name]: { 0: { offset: 6 }, 3: {}, '-1': {} },
        [missing]: { 0: {} },
      })
      await read(s, version, {})
      await read(s, version, { [name]: {} })
      if (version >= 9) {
        await read(s, version, {
          [name]: { 0: { epoch: 0, offset: 5 }, 1: { epoch: 5 }, 2: { epoch: -2 } },
        })
        await read(s, version, { [name]: { 0: { epoch: 99, offset: 5 } } })
      }
      if (version >= 12) {
        await read(s, version, {
          [name]: { 0: { epoch: 0, lastEpoch: 0, offset: 5 }, 1: { lastEpoch: 3, offset: 1 } },
        })
        await read(s, version, {
          [name]: {
            0: { lastEpoch: 0, offset: 9 },
            1: { lastEpoch: -5, offset: 1 },
            2: { lastEpoch: 0 },
          },
        })
      }
    }
  },

  'limits of bytes': async (s) => {
    const name = await filled(s, 'limits')
    const all = (max: number): Record<number, Wish> => ({ 0: { max }, 1: { max }, 2: { max } })
    for (const max of [-1, 0, 1, 60, 77, 78, 79, 100, 154, 160, 220, 240, 3000, 3100, 10_000]) {
      s.note(`partition ${max}`)
      await read(s, 12, { [name]: all(max) })
      s.note(`whole answer ${max}`)
      await read(s, 12, { [name]: all(1_000_000) }, { maxBytes: max })
      s.note(`large one first ${max}`)
      await s.ask(
        fetch,
        12,
        {
          ...fetchRequest(s, 12, {}, { maxBytes: max }),
          topics: [1, 0, 2].map((partition) => ({
            topic: name,
            topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
            partitions: [
              {
                partition,
                currentLeaderEpoch: -1,
                fetchOffset: 0,
                lastFetchedEpoch: -1,
                logStartOffset: -1,
                partitionMaxBytes: 1_000_000,
              },
            ],
          })),
        },
        { ordered: true },
      )
    }
    await read(
      s,
      12,
      { [name]: { 0: { max: 0 }, 1: { offset: 1 } } },
      { minBytes: 1, maxWaitMs: 100 },
    )
    await read(s, 12, { [name]: { 2: {} } }, { minBytes: -1, maxWaitMs: 100 })
    await read(s, 12, { [name]: { 2: {} } }, { minBytes: 1, maxWaitMs: -100 })
    await read(s, 12, { [name]: { 0: {}, 2: {} } }, { minBytes: 1_000_000, maxWaitMs: 100 })
    await read(
      s,
      12,
      { [name]: { 0: {}, 2: { offset: 9 } } },
      { minBytes: 1_000_000, maxWaitMs: 100_000 },
    )
  },

  'same partition twice': async (s) => {
    const name = await filled(s, 'double')
    for (const version of [4, 7, 12]) {
      const one = fetchRequest(s, version, { [name]: { 0: {} } })
      const two = fetchRequest(s, version, { [name]: { 0: { offset: 4 }, 1: {} } })
      await s.ask(
        fetch,
        version,
        { ...one, topics: [...one.topics, ...two.topics] },
        { ordered: true },
      )
    }
  },

  'replicas and debuggers': async (s) => {
    const name = await filled(s, 'replica')
    await read(s, 12, { [name]: { 0: {} } }, { replicaId: -2 })
    await read(s, 12, { [name]: { 0: {} } }, { replicaId: -3 })
    await read(s, 12, { [name]: { 0: { offset: 9 } } }, { replicaId: -2 })
  },

  'fetch sessions': async (s) => {
    for (const version of [7, 11, 12, 13, 18]) {
      s.note(`version ${version}`)
      const name = await filled(s, `session-${version}`)
      const missing = version >= 13 ? UNKNOWN_ID : s.name('missing')
      const made = await read(s, version, { [name]: { 0: {}, 1: {}, 2: {} } }, { sessionEpoch: 0 })
      const sessionId = (made as Answer).sessionId as number
      const next = (epoch: number, topics: Record<string, Record<number, Wish>>, more = {}) =>
        read(s, version, topics, { sessionId, sessionEpoch: epoch, ...more })
      await next(1, {})
      await next(2, {})
      await next(3, { [name]: { 0: { offset: 5 }, 1: { offset: 1 } } })
      await next(4, {})
      await send(s, 9, { [name]: { 0: batch([record('new')]), 2: batch([record('new')]) } })
      await next(5, {})
      await next(6, { [name]: { 0: { offset: 6 } } })
      await next(7, { [name]: { 2: { offset: 1 } } })
      await next(8, {})
      await next(9, {}, { forget: { [name]: [0] } })
      await send(s, 9, { [name]: { 0: batch([record('unseen')]) } })
      await next(10, {})
      await next(11, { [name]: { 0: { offset: 99 } } })
      await next(12, {})
      await next(13, { [name]: { 0: { offset: 7 } } })
      await next(14, { [name]: { 5: {} }, [missing]: { 0: {} } })
      await next(15, {})
      await next(16, {}, { forget: { [name]: [5], [missing]: [0, 3] } })
      await next(17, { [name]: { 0: { offset: 6 } } }, { forget: { [name]: [0] } })
      await next(18, {}, { forget: { [name]: [0, 1, 2] } })
      await next(19, {})
      s.note('errors')
      await next(5, {})
      await read(s, version, {}, { sessionId: 0, sessionEpoch: 5 })
      await read(s, version, {}, { sessionId: -5, sessionEpoch: 5 })
      await read(
        s,
        version,
        { [name]: { 0: { offset: 6 } } },
        { sessionId: 12345, sessionEpoch: 0 },
      )
      await read(
        s,
        version,
        { [name]: { 0: { offset: 6 } } },
        { sessionId: 12345, sessionEpoch: -1 },
      )
      await read(
        s,
        version,
        { [name]: { 0: { offset: 6 } } },
        { sessionId: 12345, sessionEpoch: -7 },
      )
      await read(s, version, {}, { sessionId: 0, sessionEpoch: 0 })
      const again = await read(s, version, { [name]: { 0: { offset: 6 } } }, { sessionEpoch: 0 })
      const id = (again as Answer).sessionId as number
      await read(s, version, {}, { sessionId: id, sessionEpoch: 2 })
      await read(s, version, {}, { sessionId: id, sessionEpoch: 0 })
      await read(s, version, {}, { sessionId: id, sessionEpoch: 1 })
    }
  },

  'sessions with names and ids': async (s) => {
    const name = await filled(s, 'switch')
    const a = (await read(s, 12, { [name]: { 0: {} } }, { sessionEpoch: 0 })) as Answer
    await read(s, 13, {}, { sessionId: a.sessionId, sessionEpoch: 1 })
    await read(s, 12, {}, { sessionId: a.sessionId, sessionEpoch: 1 })
    const b = (await read(s, 13, { [name]: { 0: {} } }, { sessionEpoch: 0 })) as Answer
    await read(s, 12, {}, { sessionId: b.sessionId, sessionEpoch: 1 })
    await read(s, 13, {}, { sessionId: b.sessionId, sessionEpoch: 2 })
    await read(s, 13, {}, { sessionId: b.sessionId, sessionEpoch: 1 })
  },

  'order in a session': async (s) => {
    const name = await filled(s, 'turns')
    const made = (await read(
      s,
      12,
      { [name]: { 0: {}, 1: {}, 2: {} } },
      { sessionEpoch: 0, maxBytes: 1 },
    )) as Answer
    const sessionId = made.sessionId as number
    for (let epoch = 1; epoch < 6; epoch++)
      await read(s, 12, {}, { sessionId, sessionEpoch: epoch, maxBytes: 1 }, { ordered: true })
  },

  'offsets at every version': async (s) => {
    const name = await filled(s, 'offsets')
    for (const version of versions(1, 11)) {
      for (const timestamp of [
        -1,
        -2,
        -3,
        -4,
        -5,
        -6,
        -7,
        -100,
        0,
        T,
        T + 1,
        T + 10,
        T + 11,
        T + 25,
        T + 30,
        T + 31,
      ]) {
        s.note(`timestamp ${timestamp}`)
        await offsets(s, version, {
          [name]: [
            [0, timestamp],
            [1, timestamp],
            [2, timestamp],
          ],
        })
      }
      await offsets(s, version, {
        [name]: [
          [9, -1],
          [-1, -1],
        ],
        [s.name('missing')]: [[0, -1]],
      })
      await offsets(s, version, {
        [name]: [
          [0, -1],
          [0, -2],
          [1, -1],
        ],
      })
      await offsets(s, version, { [name]: [[0, -1]] }, { isolationLevel: 1 })
      await offsets(s, version, { [name]: [[0, -1]] }, { replicaId: -2 })
      await offsets(s, version, { [name]: [] })
      await offsets(s, version, {})
      await offsets(s, version, { '': [[0, -1]], 'a b': [[0, -1]] })
      if (version >= 4)
        await offsets(s, version, {
          [name]: [
            [0, -1, 0],
            [1, -1, 7],
            [2, -1, -3],
          ],
        })
    }
    const topics = [0, 0].map(() => ({
      name,
      partitions: [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch: -1, maxNumOffsets: 1 }],
    }))
    await s.ask(
      listOffsets,
      7,
      { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 0 },
      { label: 'topic twice' },
    )
  },

  'offsets by time in compressed batches': async (s) => {
    const name = await topic(s, 'packed')
    await send(s, 9, {
      [name]: {
        0: gzipBatch([record('a', 'k', T), record('b', 'k', T + 20), record('c', 'k', T + 10)]),
      },
    })
    await send(s, 9, {
      [name]: { 0: gzipBatch([record('a', 'k', T + 20), record('b', 'k', T + 5)]) },
    })
    for (const timestamp of [-3, T, T + 1, T + 15, T + 20, T + 21])
      await offsets(s, 7, { [name]: [[0, timestamp]] })
  },

  'delete records': async (s) => {
    const name = await filled(s, 'trim')
    const cut = (version: number, topics: Record<string, [number, number][]>, label: string) =>
      s.ask(
        deleteRecords,
        version,
        {
          topics: Object.entries(topics).map(([topicName, list]) => ({
            name: topicName,
            partitions: list.map(([partitionIndex, offset]) => ({ partitionIndex, offset })),
          })),
          timeoutMs: 5_000,
        },
        { label },
      )
    for (const version of [0, 1, 2]) {
      await cut(
        version,
        {
          [name]: [
            [0, 0],
            [1, 0],
            [2, 0],
          ],
        },
        'nothing',
      )
      await cut(
        version,
        {
          [name]: [
            [0, 6],
            [1, -2],
            [2, 1],
          ],
        },
        'above and below',
      )
      await cut(
        version,
        {
          [name]: [
            [9, 0],
            [-1, 0],
          ],
          [s.name('missing')]: [[0, 0]],
        },
        'unknown',
      )
      await cut(version, {}, 'none')
      await cut(version, { [name]: [] }, 'no partition')
    }
    await cut(2, { [name]: [[0, 1]] }, 'inside a batch')
    await read(s, 12, { [name]: { 0: { offset: 1 } } })
    await read(s, 12, { [name]: { 0: { offset: 0 } } })
    await offsets(s, 7, { [name]: [[0, -2]] })
    await offsets(s, 7, { [name]: [[0, T]] })
    await offsets(s, 7, { [name]: [[0, -3]] })
    await cut(2, { [name]: [[0, 0]] }, 'below the start')
    await cut(
      2,
      {
        [name]: [
          [0, 3],
          [0, 2],
        ],
      },
      'twice',
    )
    await cut(
      2,
      {
        [name]: [
          [0, -1],
          [2, -1],
        ],
      },
      'all',
    )
    await read(s, 12, { [name]: { 0: { offset: 5 } } })
    await offsets(s, 7, { [name]: [[0, -3]] })
    await offsets(s, 7, { [name]: [[0, T]] })
    await send(s, 9, { [name]: { 0: batch() } })
    const compacted = await topic(s, 'trim-compact', 1, { 'cleanup.policy': 'compact' })
    await cut(2, { [compacted]: [[0, 0]] }, 'compacted')
    const both = await topic(s, 'trim-both', 1, { 'cleanup.policy': 'compact,delete' })
    await cut(2, { [both]: [[0, 0]] }, 'compacted and deleted')
    await cut(2, { 'a b': [[0, 0]], '': [[0, 0]] }, 'bad names')
  },

  'ends of leader epochs': async (s) => {
    const name = await filled(s, 'epochs')
    for (const version of [2, 3, 4]) {
      const ask = (topics: Record<string, [number, number, number][]>, replicaId = -1) =>
        s.ask(offsetForLeaderEpoch, version, {
          replicaId: version >= 3 ? replicaId : -2,
          topics: Object.entries(topics).map(([topicName, list]) => ({
            topic: topicName,
            partitions: list.map(([partition, currentLeaderEpoch, leaderEpoch]) => ({
              partition,
              currentLeaderEpoch,
              leaderEpoch,
            })),
          })),
        })
      await ask({
        [name]: [
          [0, -1, 0],
          [1, 0, 0],
          [2, -1, 0],
        ],
      })
      await ask({
        [name]: [
          [0, -1, 1],
          [1, 0, -1],
          [2, -1, -1],
        ],
      })
      await ask({
        [name]: [
          [0, 5, 0],
          [1, -7, 0],
          [2, 0, 5],
        ],
      })
      await ask({
        [name]: [
          [9, -1, 0],
          [-1, -1, 0],
        ],
        [s.name('missing')]: [[0, -1, 0]],
        'a b': [[0, 0, 0]],
      })
      await ask({})
      await ask({ [name]: [[0, -1, 0]] }, -3)
    }
  },

  'log folders': async (s) => {
    const name = await filled(s, 'folders')
    for (const version of versions(1, 5)) {
      const ask = (topics: unknown) => s.ask(describeLogDirs, version, { topics })
      await ask([{ topic: name, partitions: [0, 1, 2] }])
      await ask([{ topic: name, partitions: [1, 7] }])
      await ask([{ topic: name, partitions: [] }])
      await ask([{ topic: s.name('missing'), partitions: [0] }])
      await ask([])
    }
  },
}
