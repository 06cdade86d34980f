// Goal: damaged requests are answered, or refused, as Apache Kafka 4.3.1 does.
// Method: requests of every served API and version, broken in one or two places, were told to a real broker
// (test/tools/record-damaged-answers.ts) and its error codes kept. Where LMQ differs, its answer is kept, too, with the
// reason. LMQ_LONG=1 tells a live Kafka and LMQ these and many more, side by side, where there is a Java to run it;
// LMQ_ROUND=n takes only that round.
import t from 'tap'
import { startBroker } from '../../src/index.ts'
import { makeRealKafka } from '../compat/harness/real-kafka.ts'
import { tool, whyMissing } from '../compat/harness/tools.ts'
import { storySettings } from '../unit/server/stories/telling.ts'
import {
  damagedDifferences,
  differenceLines,
  liveDifferences,
  readDamagedDifferences,
} from './damaged-differences.ts'
import { DamagedTelling, makeDamagedTopic } from './damaged-requests.ts'

const only = process.env['LMQ_ROUND']
const isLong = process.env['LMQ_LONG'] === '1' || only !== undefined
/** Round 0 has the requests whose answers were recorded. */
const rounds = only === undefined ? Array.from({ length: 8 }, (_, round) => round) : [Number(only)]

t.setTimeout(0) // the runner limits the file
t.test('damaged requests', { timeout: 500_000 }, async (t) => {
  const settings = storySettings
  const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true, settings })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':').at(-1))
  const { differences, unexplained, stale, count } = await damagedDifferences(port)
  t.same(stale, [], 'what was recorded belongs to these requests')
  t.same(differenceLines(unexplained), [], 'whatever differs has a reason')
  t.same(differenceLines(differences), readDamagedDifferences())
  t.ok(differences.length < count / 50, `${differences.length} of ${count} differ`)
})

const skip = isLong ? (tool('java') ? false : whyMissing('java')) : 'LMQ_LONG=1 asks a live Kafka'

for (const round of rounds) {
  t.test(`beside a live Kafka, round ${round}`, { skip, timeout: 0 }, async (t) => {
    // As many partitions as LMQ has by default: requests name some of them.
    const kafka = await makeRealKafka({ 'offsets.topic.num.partitions': '50' })
    if (!kafka) return
    t.teardown(() => kafka.remove())
    await kafka.start()
    const settings = storySettings
    const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true, settings })
    t.teardown(() => broker.stop())
    const theirs = await tellingTo(kafka.bootstrap)
    const ours = await tellingTo(broker.bootstrap)
    const { differences, unexplained, count } = await liveDifferences(theirs, ours, round)
    t.same(differenceLines(unexplained), [], 'whatever differs has a reason')
    t.ok(differences.length < count / 50, `${differences.length} of ${count} differ`)
    if (round === 0) t.same(differenceLines(differences), readDamagedDifferences())
    theirs.close()
    ours.close()
  })
}

async function tellingTo(bootstrap: string): Promise<DamagedTelling> {
  const port = Number(bootstrap.split(':').at(-1))
  return new DamagedTelling(port, await makeDamagedTopic(port))
}
