// Goal: groups answer as Apache Kafka 4.3.1 does. Method: the stories of group-scenarios.ts were told to a real broker
// (test/tools/record-groups.ts) and its answers kept; here they are told to our coordinator in simulated time. Where we
// differ on purpose, the difference stands in `onPurpose` with its reason.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { type Stage, scenarioSettings, scenarios, Telling } from './group-scenarios.ts'
import { GroupWorld } from './group-world.ts'

const golden = readFileSync(new URL('../../golden/group-answers.txt', import.meta.url), 'utf8')
const recorded = new Map(
  golden
    .split(/^== /m)
    .slice(1)
    .map((story) => {
      const [title = '', ...lines] = story.trimEnd().split('\n')
      return [title, lines]
    }),
)

for (const [title, story] of Object.entries(scenarios)) {
  t.test(title, async (t) => {
    const world = new GroupWorld(scenarioSettings)
    await world.start()
    const stage: Stage = {
      call: (who, api, version, input) => world.call(api, version, input, who),
      pass: (ms) => new Promise((resolve) => world.time.io().timers.schedule(ms, resolve)),
      topicId: (topic) => world.topics.get(topic)?.topicId ?? '',
    }
    const telling = new Telling(stage, title, '')
    const told = story(telling)
    let isTold = false
    void told.then(() => {
      isTold = true
    })
    for (let i = 0; i < 10_000 && !isTold; i++) await world.time.step()
    t.ok(isTold, 'every answer came')
    t.strictSame(telling.lines, recorded.get(title))
    world.coordinator.close()
  })
}
