// Goal: damaged requests are answered, or refused, as Apache Kafka 4.3.1 does.
// Method: requests of every served API and version, broken in one or two places, were told to a real broker
// (test/tools/record-damaged-answers.ts) and its error codes kept. Where LMQ differs, its answer is kept, too, with the
// reason.
import t from 'tap'
import { startBroker } from '../../src/index.ts'
import { storySettings } from '../unit/server/stories/telling.ts'
import {
  damagedDifferences,
  differenceLines,
  readDamagedDifferences,
} from './damaged-differences.ts'

t.setTimeout(500_000)
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
