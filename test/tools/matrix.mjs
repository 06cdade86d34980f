// Writes the README's tables "feature x client" and of other people's suites from what the compat tests of the last run noted
// in test-results/matrix/ and test-results/suites/.
//
//   node test/tools/matrix.mjs [--check]
//
// --check writes nothing and fails when the README's tables are not what the run showed.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const readme = join(root, 'README.md')

/** Columns, in this order, then those that are not named here; clients that the run did not have are named below the table. */
const order = [
  ...['kcat', 'kafkajs', '@platformatic/kafka', 'confluent-kafka-javascript', 'node-rdkafka'],
  ...['Java', 'confluent-kafka (Python)', 'kafka-python', 'aiokafka'],
  ...['franz-go (Go)', 'kafka-go (Go)', 'sarama (Go)', 'rust-rdkafka (Rust)'],
]
const toolsRow = 'Kafka tools (Java)'
const marks = { yes: '✓', no: '✗', none: '–', limit: '○', untried: '' }

/** What the files of a results folder hold, by file name. */
function resultsIn(name) {
  const folder = join(root, 'test-results', name)
  if (!existsSync(folder)) return []
  const files = readdirSync(folder).sort()
  return files.map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')))
}

function notes() {
  const byClient = new Map()
  for (const { client, version, features } of resultsIn('matrix')) {
    const others = byClient.get(client)?.features
    byClient.set(client, { version, features: { ...others, ...features } })
  }
  return byClient
}

/** Features in the order in which the clients' suites show them. */
function featuresOf(byClient) {
  const features = new Set()
  for (const client of ['Java', ...byClient.keys()]) {
    if (client === toolsRow) continue
    for (const feature of Object.keys(byClient.get(client)?.features ?? {})) features.add(feature)
  }
  return [...features]
}

function table(byClient) {
  const others = [...byClient.keys()].filter((each) => !order.includes(each) && each !== toolsRow)
  const columns = [...order, ...others].filter((client) => byClient.has(client))
  const rows = featuresOf(byClient).map((feature) => {
    const cells = columns.map(
      (client) => marks[byClient.get(client).features[feature] ?? 'untried'],
    )
    return `| ${feature} | ${cells.join(' | ')} |`
  })
  const missing = order.filter((client) => !byClient.has(client))
  const versions = columns.map((client) => `${client} ${byClient.get(client).version}`)
  return [
    `| | ${columns.join(' | ')} |`,
    `|---|${columns.map(() => ':-:').join('|')}|`,
    ...rows,
    '',
    `✓ shown by a test; – not in this client; ○ in this client, but it fails with Apache Kafka as well (test/compat/harness/client-limits.ts); ✗ failed; empty: not tried with it${missing.length > 0 ? `; not in this run: ${missing.join(', ')}` : ''}.`,
    '',
    `Versions: ${versions.join(' · ')}`,
    ...toolLines(byClient.get(toolsRow)),
  ].join('\n')
}

/** Suites of other people; the lists in test/compat/suites name each test, and why one is left out. */
function suiteTable() {
  const rows = resultsIn('suites').map(({ title, passed, again, wanted, listed, tests, kafka }) => {
    const retried = again > 0 ? ` (${again} when run once more)` : ''
    const cells = [
      `${passed} of ${wanted}${retried}`,
      listed - wanted,
      tests - listed,
      kafka,
      tests,
    ]
    return `| ${title} | ${cells.join(' | ')} |`
  })
  return [
    '| suite | passed here | more in the long run | left out | passed by Kafka 4.3.1 | tests |',
    '|---|:-:|:-:|:-:|:-:|:-:|',
    ...rows,
  ].join('\n')
}

function toolLines(tools) {
  if (!tools) return []
  const shown = Object.entries(tools.features).map(([name, mark]) => `${marks[mark]} ${name}`)
  return ['', `Command-line tools of Apache Kafka ${tools.version}: ${shown.join(' · ')}`]
}

/** Puts a table between its markers. */
function placed(text, name, made) {
  const [first, last] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`]
  const [start, end] = [text.indexOf(first), text.indexOf(last)]
  if (start < 0 || end < start) throw new Error(`README.md lacks ${first} and ${last}`)
  return `${text.slice(0, start)}${first}\n${made}\n${text.slice(end)}`
}

function main() {
  const text = readFileSync(readme, 'utf8')
  const made = placed(placed(text, 'matrix', table(notes())), 'suites', suiteTable())
  if (made === text) return
  if (process.argv.includes('--check')) {
    console.error("README.md's tables are not what the last run showed: npm run matrix")
    process.exitCode = 1
  } else writeFileSync(readme, made)
}

main()
