/** Where LMQ answers a random request otherwise than Apache Kafka 4.3.1, and why. */
import { readFileSync } from 'node:fs'
import { readRandomAnswers } from './random-requests.ts'

const leftBehind = 'Kafka keeps an empty group of a JoinGroup that it refused'
const failsInside = 'a value out of range: Kafka fails inside and says UNKNOWN_SERVER_ERROR'

/** Each fits both answers as a whole, without seed and number. */
const reasons: readonly { kafka: RegExp; lmq: RegExp; why: string }[] = [
  {
    kafka: /^ListOffsets v([2-9]|1[01]):( topics\.partitions\.-1)+$/,
    lmq: /^ListOffsets v\d+:( topics\.partitions\.(0|1|3|35|42|75))+$/,
    why: failsInside,
  },
  {
    kafka: /^Fetch v\d+: (0|-1)( responses\.partitions\.-1)+$/,
    lmq: /^Fetch v\d+: 0( responses\.partitions\.(0|1|3|75))+$/,
    why: failsInside,
  },
  {
    kafka: /^Fetch v1\d: -1$/,
    lmq: /^Fetch v1\d: (70|0( responses\.partitions\.100)+)$/,
    why: failsInside,
  },
  {
    kafka: /^Produce v\d+:( responses\.partitionResponses\.(?:3|21))\1?$/,
    lmq: /^Produce v\d+:( responses\.partitionResponses\.(?:3|21))\1{1,2}$/,
    why: 'Kafka answers a partition that is named twice once',
  },
  {
    kafka: /^Metadata v\d+: 0( topics\.0){3}( topics\.partitions\.0)+$/,
    lmq: /^Metadata v\d+: 0( topics\.0){2}( topics\.partitions\.0)+$/,
    why: 'there is no __transaction_state without transactions',
  },
  {
    kafka: /^Metadata v12: 0 topics\.-1$/,
    lmq: /^Metadata v12: 0 topics\.17$/,
    why: failsInside,
  },
  {
    kafka: /^FindCoordinator v\d: 0( coordinators\.0)*$/,
    lmq: /^FindCoordinator v\d: (53|0( coordinators\.35)+)$/,
    why: 'transactions are not served',
  },
  {
    kafka: /^OffsetCommit v8: topics\.partitions\.25( topics\.partitions\.3)+$/,
    lmq: /^OffsetCommit v8: topics\.partitions\.22( topics\.partitions\.3)+$/,
    why: leftBehind,
  },
  {
    kafka: /^DescribeGroups v6: groups\.0 groups\.69$/,
    lmq: /^DescribeGroups v6:( groups\.69){2}$/,
    why: leftBehind,
  },
  {
    kafka: /^DeleteGroups v[12]: results\.0$/,
    lmq: /^DeleteGroups v[12]: results\.69$/,
    why: leftBehind,
  },
  {
    kafka: /^CreatePartitions v1:( results\.3)+$/,
    lmq: /^CreatePartitions v1:( results\.44)+$/,
    why: 'the limit on counts is looked at first',
  },
  {
    kafka: /^ElectLeaders v0: 0( replicaElectionResults\.partitionResult\.7)+$/,
    lmq: /^ElectLeaders v0: 0( replicaElectionResults\.partitionResult\.(3|84))+$/,
    why: 'the milliseconds that the request gives pass in Kafka',
  },
  {
    kafka: /^ElectLeaders v2: 0$/,
    lmq: /^ElectLeaders v2: 42$/,
    why: 'an unknown kind of election is refused, also when there is nothing to elect',
  },
]

/** Long lists of one code are told by their number. */
const shortened = (line: string): string =>
  line.replace(
    /( [a-zA-Z.]*-?\d+)(\1)+(?= |$)/g,
    (all, one: string) => `${one}*${all.length / one.length}`,
  )

/**
 * What differs, with its reason, a line each.
 *
 * @param told LMQ's answers, in the order of the recorded ones
 */
export function randomDifferences(told: readonly string[]) {
  const found: string[] = []
  const unexplained: string[] = []
  for (const [index, theirs] of readRandomAnswers().entries()) {
    const ours = told[index] ?? ''
    if (ours === theirs) continue
    const [kafka, lmq] = [theirs, ours].map((line) => line.replace(/^\S+ /, '')) as [string, string]
    const reason = reasons.find((each) => each.kafka.test(kafka) && each.lmq.test(lmq))
    if (!reason) unexplained.push(`Kafka: ${theirs}\nLMQ:   ${ours}`)
    const answer = shortened(ours.slice(ours.indexOf(':') + 1))
    found.push(`${shortened(theirs)} ->${answer} (${reason?.why ?? 'no reason'})`)
  }
  return { found, unexplained }
}

export const readRandomDifferences = (): string[] =>
  readFileSync(new URL('../../../golden/random-differences.txt', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
