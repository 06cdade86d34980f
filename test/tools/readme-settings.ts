/**
 * Writes the README's tables of settings from the tables that the broker itself uses.
 * Run: `npm run readme`. A unit test compares.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brokerSettings } from '../../src/config/broker-config.ts'
import { developmentDefaults } from '../../src/config/development-defaults.ts'
import { lmqSettings } from '../../src/config/lmq-settings.ts'
import type { Setting } from '../../src/config/setting.ts'
import { topicSettings } from '../../src/config/topic-config.ts'
import { repositoryRoot } from './repository-root.ts'

const begin = '<!-- settings:start -->'
const end = '<!-- settings:end -->'

const cell = (text: string): string => text.replaceAll('|', '\\|')
const code = (name: string): string => `\`${name}\``
const entries = (settings: object): [string, Setting][] => Object.entries(settings)

function settingsTables(): string {
  const broker = entries(brokerSettings.settings).filter(([name]) => !name.startsWith('lmq.'))
  const visible = ([, setting]: [string, Setting]) => !setting.internal
  const used = broker.filter(([, setting]) => setting.used).filter(visible)
  const idle = broker.filter(([, setting]) => !setting.used).filter(visible)
  const topic = entries(topicSettings.settings).filter(visible)
  return [
    'Where a default or its effect differs from Kafka 4.3:',
    '',
    '| setting | Kafka | here | why |',
    '|---|---|---|---|',
    ...developmentDefaults.map(
      ({ name, kafka, here, why }) =>
        `| ${code(name)} | ${cell(kafka)} | ${here === undefined ? 'the same, capped' : cell(here)} | ${cell(why)} |`,
    ),
    '',
    "LMQ's own settings:",
    '',
    '| setting | default | meaning |',
    '|---|---|---|',
    ...entries(lmqSettings).map(
      ([name, { defaultText, about }]) =>
        `| ${code(name)} | ${cell(defaultText ?? '')} | ${cell(about)} |`,
    ),
    '',
    '<details><summary>Broker settings that take effect</summary>',
    '',
    used.map(([name]) => code(name)).join(', '),
    '',
    '</details>',
    '',
    '<details><summary>Topic settings that take effect</summary>',
    '',
    topic
      .filter(([, setting]) => setting.used)
      .map(([name]) => code(name))
      .join(', '),
    '',
    '</details>',
    '',
    '<details><summary>Known, accepted with one warning line, and without meaning here</summary>',
    '',
    `Broker: ${idle.map(([name]) => code(name)).join(', ')}`,
    '',
    'Topic: ' +
      topic
        .filter(([, setting]) => !setting.used)
        .map(([name]) => code(name))
        .join(', '),
    '',
    '</details>',
  ].join('\n')
}

/** The README with fresh tables between its markers. */
export function withSettingsTables(readme: string): string {
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end)
  if (from < 0 || to < from) throw new Error(`README.md has no ${begin} ... ${end}`)
  return `${readme.slice(0, from + begin.length)}\n${settingsTables()}\n${readme.slice(to)}`
}

if (
  process.argv[1] !== undefined &&
  import.meta.url.endsWith(process.argv[1].split('/').at(-1) ?? '')
) {
  const path = join(repositoryRoot(import.meta.url), 'README.md')
  writeFileSync(path, withSettingsTables(readFileSync(path, 'utf8')))
}
