// Writes the README's table "feature x client" from what the compat tests of the last run noted in test-results/matrix/.
//
//   node test/tools/matrix.mjs [--check]
//
// --check writes nothing and fails when the README's table is not what the run showed.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const readme = join(root, 'README.md')
const markers = ['<!-- matrix:start -->', '<!-- matrix:end -->']

/** Columns, in this order; clients that the run did not have are left out of the table with a word. */
const clients = ['kcat', 'kafkajs', 'confluent-kafka (Python)', 'franz-go (Go)', 'Java']
const toolsRow = 'Kafka tools (Java)'
const marks = { yes: '✓', no: '✗', none: '–' }

function notes() {
  const folder = join(root, 'test-results', 'matrix')
  const byClient = new Map()
  for (const file of readdirSync(folder)) {
    const { client, version, features } = JSON.parse(readFileSync(join(folder, file), 'utf8'))
    const others = byClient.get(client)?.features
    byClient.set(client, { version, features: { ...others, ...features } })
  }
  return byClient
}

/** Features in the order in which the clients' suites show them. */
function featuresOf(byClient) {
  const features = new Set()
  for (const client of ['Java', 'franz-go (Go)', ...clients]) {
    for (const feature of Object.keys(byClient.get(client)?.features ?? {})) features.add(feature)
  }
  return [...features]
}

function table(byClient) {
  const columns = clients.filter((client) => byClient.has(client))
  const heads = columns.map((client) => `${client} ${byClient.get(client).version}`)
  const rows = featuresOf(byClient).map((feature) => {
    const cells = columns.map((client) => marks[byClient.get(client).features[feature] ?? 'none'])
    return `| ${feature} | ${cells.join(' | ')} |`
  })
  const missing = clients.filter((client) => !byClient.has(client))
  return [
    `| | ${heads.join(' | ')} |`,
    `|---|${columns.map(() => ':-:').join('|')}|`,
    ...rows,
    '',
    `✓ shown by a test; – not in this client, or not tried with it${missing.length > 0 ? `; not in this run: ${missing.join(', ')}` : ''}.`,
    ...toolLines(byClient.get(toolsRow)),
  ].join('\n')
}

function toolLines(tools) {
  if (!tools) return []
  const shown = Object.entries(tools.features).map(([name, mark]) => `${marks[mark]} ${name}`)
  return ['', `Command-line tools of Apache Kafka ${tools.version}: ${shown.join(' · ')}`]
}

function main() {
  const text = readFileSync(readme, 'utf8')
  const [start, end] = markers.map((marker) => text.indexOf(marker))
  if (start < 0 || end < start) throw new Error(`README.md lacks ${markers.join(' and ')}`)
  const made = `${text.slice(0, start)}${markers[0]}\n${table(notes())}\n${text.slice(end)}`
  if (made === text) return
  if (process.argv.includes('--check')) {
    console.error("README.md's matrix is not what the last run showed: npm run matrix")
    process.exitCode = 1
  } else writeFileSync(readme, made)
}

main()
