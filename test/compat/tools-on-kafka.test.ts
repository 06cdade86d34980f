// Goal: `lmq topics`, `groups`, `configs`, `produce`, `consume` and `cluster` work against any Kafka. Method: the built
// program against Apache Kafka itself.
import t from 'tap'
import { lmqCommand, runLmq } from '../tools/lmq-program.ts'
import { givenBootstrap } from './harness/broker.ts'
import { makeRealKafka } from './harness/real-kafka.ts'
import { tool, whyMissing } from './harness/tools.ts'

t.setTimeout(300_000)

const skip = givenBootstrap
  ? 'starts a Kafka of its own'
  : tool('java')
    ? false
    : whyMissing('java')

t.test("lmq's tools on Apache Kafka", { skip }, async (t) => {
  const kafka = await makeRealKafka()
  if (!kafka) return
  t.teardown(() => kafka.remove())
  await kafka.start()
  const command = lmqCommand()
  const call = (words: string, input = '') =>
    runLmq(`${words} -b ${kafka.bootstrap}`, { command, input })
  const done = async (words: string, input?: string): Promise<string> => {
    const { code, out, err } = await call(words, input)
    t.equal(code, 0, `${words}: ${err}`)
    return out
  }

  t.match(await done('topics create orders -p 3 -c retention.ms=60000'), /created orders/)
  t.match(await call('topics create orders'), { code: 1, err: /TOPIC_ALREADY_EXISTS/ })
  t.match(JSON.parse(await done('topics list --json')), [{ name: 'orders', partitions: 3 }])
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const lines = Array.from({ length: 300 }, (_, i) => `k${i % 5}:${codec}${i}`)
    await done(`produce orders -K : -z ${codec}`, `${lines.join('\n')}\n`)
    const read = await done('consume orders -K : --from beginning --exit')
    const mine = read.split('\n').filter((line) => line.includes(`:${codec}`))
    t.same(mine.sort(), [...lines].sort(), codec)
  }
  await done('consume orders -g readers --from beginning -n 100')
  t.match(await done('groups describe readers'), /Empty +0 members +lag \d+/)
  t.match(await done('groups list'), /readers/)
  await done('groups reset readers -t orders --to -5')
  t.match(await done('groups delete readers'), /deleted readers/)
  await done('topics alter orders -p 4')
  await done('configs set topic orders cleanup.policy=compact')
  t.match(await done('configs describe topic orders'), /cleanup\.policy +compact +topic/)
  t.match(await done('cluster'), /CONTROLLER/)
  t.match(await done('cluster apis'), /Produce/)
  t.match(await done('cluster dirs'), /online/)
  t.match(await done('topics delete orders'), /deleted orders/)
})
