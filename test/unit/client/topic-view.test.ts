// Goal: what was told wrongly is asked anew, of any broker: who is cut off from its cluster goes on telling what was so.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { Client } from '../../../src/client/client.ts'
import { TopicView } from '../../../src/client/topic-view.ts'
import type { Io } from '../../../src/io/io.ts'
import { createSimIo } from '../../sim/sim-io.ts'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

function viewOf(answers: readonly { leaderId: number; leaderEpoch: number; topicId?: string }[]) {
  const asked: boolean[] = []
  const client = {
    metadata: async (_topics: unknown, { anew }: { anew: boolean }) => {
      const { topicId = TOPIC_ID, ...leader } = answers[asked.push(anew) - 1] ?? {}
      const partitions = [{ partitionIndex: 0, ...leader }]
      return { topics: [{ name: 'orders', topicId, errorCode: 0, partitions }] }
    },
  } as unknown as Client
  return { view: new TopicView(client), asked }
}

async function leaders(view: TopicView, times: number): Promise<number[]> {
  const found: number[] = []
  for (let time = 0; time < times; time++) {
    found.push(await view.leaderOf('orders', 0))
    view.forget('orders')
  }
  return found
}

t.test('an older leader epoch does not take the place of a newer one', async (t) => {
  const { view, asked } = viewOf([
    { leaderId: 1, leaderEpoch: 4 },
    { leaderId: 2, leaderEpoch: 3 },
    { leaderId: 3, leaderEpoch: 5 },
    { leaderId: 2, leaderEpoch: 0, topicId: 'AAAAAAAAAAAAAAAAAAAAAg' },
  ])
  t.same(await leaders(view, 4), [1, 1, 3, 2], 'a new topic of that name begins anew')
  t.same(asked, [false, true, true, true])
})

t.test('what was told wrongly is asked of any broker', async (t) => {
  const tried: string[] = []
  const connect = async ({ host }: { host: string }) => {
    tried.push(host)
    throw new LmqError('LMQ_CONNECTION_CLOSED', { host })
  }
  const { io } = createSimIo(1)
  const random = { ...io.random, int: (max: number) => max - 1 }
  const other = { ...io, random, net: { ...io.net, connect } } as unknown as Io
  const bootstrap = ['b1', 'b2', 'b3'].map((host) => ({ host, port: 9_092 }))
  const client = new Client(other, { bootstrap, retryForMs: 0 })
  await t.rejects(client.metadata(['orders']))
  t.same(tried.splice(0), ['b1', 'b2', 'b3'])
  await t.rejects(client.metadata(['orders'], { anew: true }))
  t.same(tried, ['b3', 'b1', 'b2'])
})
