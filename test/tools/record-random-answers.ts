// Writes down which error codes a fresh real broker answers to random requests, as test/golden/random-answers.txt. With
// "lmq" instead of a port, LMQ is started and test/golden/random-differences.txt is written: where it answers otherwise,
// and why.
//
//   node --import tsx test/tools/record-random-answers.ts PORT|lmq
import { writeFileSync } from 'node:fs'
import { startBroker } from '../../src/index.ts'
import { randomDifferences } from '../unit/server/stories/random-differences.ts'
import {
  makeRandomTopic,
  requestsOfSeed,
  seeds,
  tellRandom,
} from '../unit/server/stories/random-requests.ts'
import { storySettings } from '../unit/server/stories/telling.ts'

const [target = ''] = process.argv.slice(2)
const golden = (name: string) => new URL(`../golden/${name}`, import.meta.url)
const broker =
  target === 'lmq'
    ? await startBroker({ port: 0, httpPort: -1, ephemeral: true, settings: storySettings })
    : undefined
const port = Number(broker ? broker.bootstrap.split(':').at(-1) : target)
const lines: string[] = []
await makeRandomTopic(port)
for (const seed of seeds) lines.push(...(await tellRandom(port, seed, requestsOfSeed)))
if (broker === undefined) {
  writeFileSync(golden('random-answers.txt'), `${lines.join('\n')}\n`)
} else {
  const { found, unexplained } = randomDifferences(lines)
  for (const line of unexplained) console.log(line)
  writeFileSync(golden('random-differences.txt'), `${found.join('\n')}\n`)
  console.log(`${found.length} differences, ${unexplained.length} without a reason`)
  await broker.stop()
}
console.log(`${lines.length} answers`)
process.exit(0)
