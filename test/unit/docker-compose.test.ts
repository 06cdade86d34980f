// Goal: every setting in docker-compose.yml is one that brokers know, and the three of them do not stand in each other's
// way. No Docker is needed. Method: the file's environment lines are read as a broker reads its environment.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadSettings } from '../../src/config/load-settings.ts'
import { repositoryRoot } from '../tools/repository-root.ts'

const text = readFileSync(join(repositoryRoot(import.meta.url), 'docker-compose.yml'), 'utf8')

function settingsIn(part: string): Record<string, string> {
  const lines = part.matchAll(/^ +((?:KAFKA|LMQ)_[A-Z_]+): "?([^"\n]+)"?$/gm)
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]))
}

const shared = settingsIn(text.slice(text.indexOf('x-settings'), text.indexOf('services:')))
const brokers = [1, 2, 3].map((id) => {
  const start = text.indexOf(`  broker-${id}:\n`)
  const end = text.indexOf('\n\n', start)
  const next = text.indexOf(`  broker-${id + 1}:\n`, start)
  const part = text.slice(start, next > 0 ? next : end)
  return { id, part, environment: { ...shared, ...settingsIn(part) } }
})

t.test('each broker can start with what the file says', async (t) => {
  const ports = new Set<number>()
  for (const { id, part, environment } of brokers) {
    const loaded = loadSettings({ environment })
    t.same(loaded.warnings, [], `broker ${id}`)
    t.equal(loaded.config['node.id'], id)
    t.equal(loaded.config['lmq.consul.address'].length, 3)
    const { listeners, interBrokerListener } = loaded.listenersPlan
    t.equal(interBrokerListener, 'INTERNAL')
    const inner = listeners.find(({ name }) => name === 'INTERNAL')
    const outer = listeners.find(({ name }) => name === 'EXTERNAL')
    t.equal(inner?.advertisedHost, `broker-${id}`)
    t.match(part, `hostname: broker-${id}`)
    t.match(part, `"${outer?.port}:${outer?.port}"`)
    t.equal(outer?.advertisedPort, outer?.port)
    ports.add(outer?.port ?? 0)
  }
  t.equal(ports.size, 3)
})
