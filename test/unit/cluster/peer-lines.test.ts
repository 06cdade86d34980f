// Goal: a broker holds one connection to each other one that takes part, and gets a new one when it is lost.
// Method: an image that the test changes, connections that it breaks, timers that it fires.
import t from 'tap'
import type { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import { PeerLines } from '../../../src/cluster/peer-lines.ts'

function scene() {
  const live = new Set([1, 2, 3])
  const timers: (() => void)[] = []
  const opened: number[] = []
  const breaks = new Map<number, () => void>()
  const unreachable = new Set<number>()
  const lines = new PeerLines({
    io: {
      timers: {
        schedule(_delayMs: number, task: () => void) {
          timers.push(task)
          return { cancel: () => {} }
        },
        endOfTurn: () => {},
        nextTurn: () => {},
      },
    },
    brokerId: 1,
    image: {
      liveBrokers: () => [...live].map((brokerId) => ({ brokerId })),
    } as unknown as MetadataImage,
    connect: async (brokerId) => {
      opened.push(brokerId)
      if (unreachable.has(brokerId)) throw new Error('refused')
      return { onClosed: (listener) => void breaks.set(brokerId, () => listener(false)) }
    },
  })
  const fire = () => {
    for (const task of timers.splice(0)) task()
  }
  return { lines, live, opened, breaks, unreachable, timers, fire }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('one line to each of the others, however often the metadata changes', async (t) => {
  const { lines, live, opened } = scene()
  lines.noteImage()
  lines.noteImage()
  await turn()
  lines.noteImage()
  t.same(opened, [2, 3])
  live.add(4)
  lines.noteImage()
  t.same(opened, [2, 3, 4])
})

t.test('a line that broke is opened again, but not to who is gone', async (t) => {
  const { lines, live, opened, breaks, fire } = scene()
  lines.noteImage()
  await turn()
  breaks.get(2)?.()
  lines.noteImage()
  t.same(opened, [2, 3], 'not at once')
  fire()
  t.same(opened, [2, 3, 2])
  await turn()
  live.delete(3)
  breaks.get(3)?.()
  fire()
  t.same(opened, [2, 3, 2])
  live.add(3)
  lines.noteImage()
  t.same(opened, [2, 3, 2, 3], 'it is back')
})

t.test('who cannot be reached is tried again later', async (t) => {
  const { lines, opened, unreachable, timers, fire } = scene()
  unreachable.add(3)
  lines.noteImage()
  await turn()
  t.equal(timers.length, 1)
  fire()
  await turn()
  t.same(opened, [2, 3, 3])
  lines.close()
  fire()
  await turn()
  t.same(opened, [2, 3, 3], 'not after the end')
})
