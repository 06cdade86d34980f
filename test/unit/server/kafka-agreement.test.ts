// Goal: a whole broker answers as Apache Kafka 4.3.1 does, normal and strange requests alike, at every served version.
// Method: the stories of stories/ were told to a real broker (test/tools/record-answers.ts) and its answers kept; here
// they are told to LMQ over TCP. Where LMQ differs on purpose, its answer is kept, too, with the reason.
import t from 'tap'
import { startBroker } from '../../../src/index.ts'
import { differencesOf, readAnswers, readDifferences } from './stories/answers.ts'
import { stories } from './stories/stories.ts'
import { storySettings, Telling } from './stories/telling.ts'

t.test('answers of a broker', { timeout: 300_000 }, async (t) => {
  const broker = await startBroker({
    port: 0,
    httpPort: -1,
    ephemeral: true,
    settings: storySettings,
  })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':').at(-1))
  const kafka = readAnswers()
  const differences = readDifferences()
  t.strictSame([...kafka.keys()], Object.keys(stories), 'every story was recorded')
  for (const [title, story] of Object.entries(stories)) {
    const telling = new Telling(port, '-xtest')
    try {
      await story(telling)
    } finally {
      telling.close()
    }
    const found = differencesOf(title, kafka.get(title) ?? [], telling.lines)
    t.strictSame(found, differences.get(title) ?? [], title)
  }
})
