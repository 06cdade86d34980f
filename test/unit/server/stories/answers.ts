/** The recorded answers of Apache Kafka 4.3.1, and where LMQ differs on purpose. */
import { readFileSync } from 'node:fs'
import { onPurpose } from './on-purpose.ts'

const read = (name: string): Map<string, string[]> =>
  new Map(
    readFileSync(new URL(`../../../golden/${name}`, import.meta.url), 'utf8')
      .split(/^== /m)
      .slice(1)
      .map((story) => {
        const [title = '', ...lines] = story.trimEnd().split('\n')
        return [title, lines]
      }),
  )

export const readAnswers = (): Map<string, string[]> => read('broker-answers.txt')
export const readDifferences = (): Map<string, string[]> => read('broker-differences.txt')

/**
 * The lines of a story that differ, each as its number, the reason and LMQ's answer.
 *
 * @throws for differences that have no reason
 */
export function differencesOf(title: string, kafka: readonly string[], lmq: readonly string[]) {
  const found: string[] = []
  const wrong: string[] = []
  for (let i = 0; i < Math.max(kafka.length, lmq.length); i++) {
    const [theirs, ours = ''] = [kafka[i], lmq[i]]
    if (theirs === ours) continue
    const reason = onPurpose.find(({ story, line }) => story.test(title) && line.test(ours))
    if (reason) found.push(`${i + 1} (${reason.why}) ${ours}`)
    else wrong.push(`${title}, line ${i + 1}:\n  Kafka: ${theirs}\n  LMQ:   ${ours}`)
  }
  if (wrong.length > 0) throw new Error(wrong.join('\n'))
  return found
}
