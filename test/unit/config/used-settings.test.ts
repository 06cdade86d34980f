// Goal: a setting that is called "used" is read by the broker; nothing is accepted and then ignored.
// Method: its name, or that of the topic setting it gives a default to, stands in a source file outside of the tables.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { brokerSettings } from '../../../src/config/broker-config.ts'
import type { Setting } from '../../../src/config/setting.ts'
import { topicSettings } from '../../../src/config/topic-config.ts'
import { repositoryRoot } from '../../tools/repository-root.ts'

const tables =
  /(broker-[a-z]+-settings|topic-config|group-config|client-metrics-config|lmq-settings|consul-settings|development-defaults)\.ts$/

function sources(folder: string): string {
  let text = ''
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) text += sources(path)
    else if (path.endsWith('.ts') && !tables.test(path)) text += readFileSync(path, 'utf8')
  }
  return text
}

t.test('every setting called used is read somewhere', async (t) => {
  const text = sources(join(repositoryRoot(import.meta.url), 'src'))
  // Internal topics share code: `${prefix}.segment.bytes`.
  const isNamed = (name: string) =>
    text.includes(`'${name}'`) ||
    (name.startsWith('offsets.topic.') &&
      text.includes(`\`\${prefix}${name.slice('offsets.topic'.length)}\``))
  const topic = Object.entries(topicSettings.settings) as [string, Setting][]
  const viaTopic = new Set(
    topic.filter(([name, { used }]) => used && isNamed(name)).flatMap(([, s]) => s.synonyms),
  )
  const broker = Object.entries(brokerSettings.settings) as [string, Setting][]
  const ignored = [...topic, ...broker]
    .filter(([name, { used }]) => used && !isNamed(name) && !viaTopic.has(name))
    .map(([name]) => name)
  t.same(ignored, [])
})
