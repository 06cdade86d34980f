// Goal: error codes as Apache Kafka 4.3.1 gives them, also for requests that nobody thought of.
// Method: random well-typed requests from fixed seeds (stories/random-requests.ts). A real broker's codes were recorded
// (test/tools/record-random-answers.ts); whatever differs here must have a reason below.
import t from 'tap'
import { startBroker } from '../../../src/index.ts'
import {
  makeRandomTopic,
  readRandomAnswers,
  requestsOfSeed,
  seeds,
  tellRandom,
} from './stories/random-requests.ts'
import { storySettings } from './stories/telling.ts'

const leftBehind = 'Kafka keeps an empty group of a JoinGroup that it refused'
const reasons: readonly { kafka: RegExp; lmq: RegExp; why: string }[] = [
  {
    kafka: /(ListOffsets|Fetch|Metadata) v\d+: .*-1\b/,
    lmq: / v/,
    why: 'Kafka fails inside and says UNKNOWN_SERVER_ERROR',
  },
  { kafka: /Fetch v1[3-9]: -1$/, lmq: /: (70|0)/, why: 'Kafka fails inside' },
  {
    kafka: /Fetch v\d: |Fetch v1[0-2]: /,
    lmq: /partitions\.100/,
    why: 'an empty name counts as an id that is not known',
  },
  {
    kafka: /Produce/,
    lmq: /\.(21|17)\b/,
    why: 'acks and names are judged before it is known whether the topic is there',
  },
  { kafka: /Produce/, lmq: /Produce/, why: 'Kafka answers a partition that is named twice once' },
  {
    kafka: /Metadata v\d+: 0 topics\.0 topics\.0 topics\.0 /,
    lmq: /Metadata/,
    why: 'there is no __transaction_state without transactions',
  },
  {
    kafka: /Metadata/,
    lmq: /Metadata/,
    why: 'each name and id is answered, also in a mixed request',
  },
  { kafka: /FindCoordinator/, lmq: /\b53\b/, why: 'transactions are not served' },
  { kafka: /OffsetCommit v\d+: .*\.25/, lmq: /\.22/, why: leftBehind },
  { kafka: /(DescribeGroups|DeleteGroups) v\d+: .*\.0/, lmq: /\.69/, why: leftBehind },
  { kafka: /CreatePartitions/, lmq: /\.44/, why: 'the limit on counts is looked at first' },
  {
    kafka: /ElectLeaders v\d+: 0.*\.7\b/,
    lmq: /ElectLeaders/,
    why: 'the milliseconds that the request gives pass in Kafka',
  },
  { kafka: /ElectLeaders v\d+: 0$/, lmq: /: 42$/, why: 'an unknown kind of election is refused' },
]

t.setTimeout(170_000)
t.test('random requests', { timeout: 170_000 }, async (t) => {
  const settings = storySettings
  const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true, settings })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':').at(-1))
  await makeRandomTopic(port)
  const kafka = readRandomAnswers()
  t.equal(kafka.length, seeds.length * requestsOfSeed, 'every request was recorded')
  const told: string[] = []
  for (const seed of seeds) told.push(...(await tellRandom(port, seed, requestsOfSeed)))
  const wrong: string[] = []
  let differing = 0
  for (const [index, theirs] of kafka.entries()) {
    const ours = told[index] ?? ''
    if (ours === theirs) continue
    differing++
    const isKnown = reasons.some(({ kafka, lmq }) => kafka.test(theirs) && lmq.test(ours))
    if (!isKnown) wrong.push(`Kafka: ${theirs}\nLMQ:   ${ours}`)
  }
  t.same(wrong, [], 'whatever differs has a reason')
  t.ok(differing < kafka.length / 10, `${differing} of ${kafka.length} differ`)
})
