// Writes down what a real broker answers to the stories of test/unit/server/stories, as test/golden/broker-answers.txt.
// The broker must be fresh and run with the settings named there (storySettings). With "lmq" instead of an address,
// LMQ is started and test/golden/broker-differences.txt is written: where it answers otherwise, and why.
//
//   node --import tsx test/tools/record-answers.ts PORT|lmq [STORY ...]
import { writeFileSync } from 'node:fs'
import { startBroker } from '../../src/index.ts'
import { differencesOf, readAnswers } from '../unit/server/stories/answers.ts'
import { stories } from '../unit/server/stories/stories.ts'
import { storySettings, Telling } from '../unit/server/stories/telling.ts'

const [target = '', ...wanted] = process.argv.slice(2)
const golden = (name: string) => new URL(`../golden/${name}`, import.meta.url)
const broker =
  target === 'lmq'
    ? await startBroker({ port: 0, httpPort: -1, ephemeral: true, settings: storySettings })
    : undefined
const port = Number(broker ? broker.bootstrap.split(':').at(-1) : target)
const unique = `-x${Date.now().toString(36)}`

const told = wanted.length > 0 && !broker ? readAnswers() : new Map<string, string[]>()
for (const [title, story] of Object.entries(stories)) {
  if (wanted.length > 0 && !wanted.includes(title)) continue
  const telling = new Telling(port, unique, broker === undefined)
  await story(telling)
  telling.close()
  told.set(title, telling.lines)
  console.log(title, telling.lines.length)
}

const text = (parts: Map<string, readonly string[]>) =>
  [...parts].map(([title, lines]) => `== ${title}\n${lines.join('\n')}\n`).join('\n')
if (broker === undefined) {
  writeFileSync(golden('broker-answers.txt'), text(told))
} else {
  const kafka = readAnswers()
  const differences = new Map<string, string[]>()
  for (const [title, lines] of told) {
    const found = differencesOf(title, kafka.get(title) ?? [], lines)
    if (found.length > 0) differences.set(title, found)
  }
  writeFileSync(golden('broker-differences.txt'), text(differences))
  await broker.stop()
}
process.exit(0)
