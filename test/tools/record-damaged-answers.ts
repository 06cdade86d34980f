// Writes down which error codes a fresh real broker answers to damaged requests, as test/golden/damaged-answers.txt. With
// "lmq" instead of a port, LMQ is started and test/golden/damaged-differences.txt is written: where it answers otherwise,
// and why.
//
//   node --import tsx test/tools/record-damaged-answers.ts PORT|lmq
import { writeFileSync } from 'node:fs'
import { startBroker } from '../../src/index.ts'
import { damagedDifferences, differenceLines } from '../fuzz/damaged-differences.ts'
import {
  DamagedTelling,
  damagedFrames,
  damagedTargets,
  fingerprintOf,
  makeDamagedTopic,
  nameOf,
} from '../fuzz/damaged-requests.ts'
import { storySettings } from '../unit/server/stories/telling.ts'

const [target = ''] = process.argv.slice(2)
const golden = (name: string) => new URL(`../golden/${name}`, import.meta.url)
if (target === 'lmq') {
  const broker = await startBroker({
    port: 0,
    httpPort: -1,
    ephemeral: true,
    settings: storySettings,
  })
  const port = Number(broker.bootstrap.split(':').at(-1))
  const { differences, unexplained } = await damagedDifferences(port)
  for (const line of differenceLines(unexplained)) console.log(line)
  writeFileSync(golden('damaged-differences.txt'), `${differenceLines(differences).join('\n')}\n`)
  console.log(`${differences.length} differences, ${unexplained.length} without a reason`)
  await broker.stop()
} else {
  const telling = new DamagedTelling(Number(target), await makeDamagedTopic(Number(target)))
  const lines: string[] = []
  for (const damaged of damagedTargets) {
    const frames = damagedFrames(damaged)
    const answers: string[] = []
    for (const [number, frame] of frames.entries()) {
      console.log(nameOf(damaged), number)
      answers.push(await telling.ask(frame))
    }
    lines.push(`${nameOf(damaged)} | ${fingerprintOf(frames)} | ${answers.join(', ')}`)
  }
  telling.close()
  writeFileSync(golden('damaged-answers.txt'), `${lines.join('\n')}\n`)
  console.log(`answers to the damaged requests of ${lines.length} versions of APIs`)
}
process.exit(0)
