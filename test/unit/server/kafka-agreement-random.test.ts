// Goal: error codes as Apache Kafka 4.3.1 gives them, also for requests that nobody thought of.
// Method: random well-typed requests from fixed seeds (stories/random-requests.ts). A real broker's codes were recorded
// (test/tools/record-random-answers.ts); whatever differs here is written down with its reason, too.
import t from 'tap'
import { startBroker } from '../../../src/index.ts'
import { randomDifferences, readRandomDifferences } from './stories/random-differences.ts'
import {
  makeRandomTopic,
  readRandomAnswers,
  requestsOfSeed,
  seeds,
  tellRandom,
} from './stories/random-requests.ts'
import { storySettings } from './stories/telling.ts'

t.setTimeout(170_000)
t.test('random requests', { timeout: 170_000 }, async (t) => {
  const settings = storySettings
  const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true, settings })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':').at(-1))
  await makeRandomTopic(port)
  const recorded = readRandomAnswers().length
  t.equal(recorded, seeds.length * requestsOfSeed, 'every request was recorded')
  const told: string[] = []
  for (const seed of seeds) told.push(...(await tellRandom(port, seed, requestsOfSeed)))
  const { found, unexplained } = randomDifferences(told)
  t.same(unexplained, [], 'whatever differs has a reason')
  t.same(found, readRandomDifferences(), 'what differs is known')
  t.ok(found.length < recorded / 10, `${found.length} of ${recorded} differ`)
})
