// Writes down which error codes a fresh real broker answers to random requests, as test/golden/random-answers.txt.
//
//   node --import tsx test/tools/record-random-answers.ts PORT [FILE]
import { writeFileSync } from 'node:fs'
import {
  makeRandomTopic,
  requestsOfSeed,
  seeds,
  tellRandom,
} from '../unit/server/stories/random-requests.ts'

const [port = '', path] = process.argv.slice(2)
const lines: string[] = []
await makeRandomTopic(Number(port))
for (const seed of seeds) lines.push(...(await tellRandom(Number(port), seed, requestsOfSeed)))
const golden = new URL('../golden/random-answers.txt', import.meta.url)
writeFileSync(path ?? golden, `${lines.join('\n')}\n`)
console.log(`${lines.length} answers`)
