// Goal: every message layout is Kafka's, field by field.
// Method: schemas.txt holds the facts of Kafka 4.3.1's messages, widened by the old versions that 4.x dropped: a line
// per message, then a line per field, indented by depth: name, type, versions, and what else holds for it.
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Field, Fields } from '../../src/protocol/schema.ts'
import { parseVersions } from '../../src/protocol/versions.ts'
import { allApis, allMessages } from '../oracle/all-messages.ts'

type Facts = { key: number | undefined; versions: string; flexible: string; fields: string[] }

/** The facts write defaults as text in places. */
function plainDefault(kind: string, value: unknown): unknown {
  if (value === 'null') return null
  if (kind === 'bool') return value === true || value === 'true'
  if (kind === 'string' || kind === 'uuid') return value
  const number = Number(value)
  return Math.min(Math.max(number, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
}

/** What a field without a default reads as; a default that only repeats it is not shown. */
function impliedDefault(kind: string): unknown {
  if (kind === 'bool') return false
  if (kind === 'string') return ''
  return 0
}

function shownDefault(kind: string, value: unknown): string {
  return value === impliedDefault(kind) ? '' : ` default=${JSON.stringify(value)}`
}

function lowerFirst(text: string): string {
  return (text[0] ?? '').toLowerCase() + text.slice(1)
}

function normalized(line: string): string {
  const found = /^( +)(\S+) (\S+) (.*)$/.exec(line) as RegExpExecArray
  const [, indent = '', name = '', type = '', rest = ''] = found
  const shown = rest.replace(/ default=("[^"]*"|\S+)/, (_, value: string) =>
    shownDefault(type, plainDefault(type, JSON.parse(value))),
  )
  return `${indent}${lowerFirst(name)} ${type} ${shown}`
}

function readFacts(): Map<string, Facts> {
  const facts = new Map<string, Facts>()
  let current: Facts | undefined
  const text = readFileSync(new URL('schemas.txt', import.meta.url), 'utf8')
  for (const line of text.trimEnd().split('\n')) {
    const head = /^(\w+) \S+(?: key=(\d+))? versions=(\S+) flexible=(\S+)$/.exec(line)
    if (head) {
      const [, name = '', key, versions = '', flexible = ''] = head
      current = { key: key === undefined ? undefined : Number(key), versions, flexible, fields: [] }
      facts.set(name, current)
    } else current?.fields.push(normalized(line))
  }
  return facts
}

function fieldLine(name: string, field: Field, depth: number): string {
  const { options } = field
  let line = `${' '.repeat(depth)}${name} ${field.isArray ? '[]' : ''}${field.kind} ${field.versions}`
  if (options.nullable !== undefined) line += ` nullable=${options.nullable}`
  if (options.tag !== undefined) line += ` tag=${options.tag}`
  if (options.tagged !== undefined) line += ` tagged=${options.tagged}`
  if (Object.hasOwn(options, 'default')) line += shownDefault(field.kind, options.default)
  if (options.ignorable) line += ' ignorable'
  if (options.flexible) line += ` flexible=${options.flexible}`
  return line
}

function fieldLines(fields: Fields, depth = 1): string[] {
  return Object.entries(fields).flatMap(([name, field]) => [
    fieldLine(name, field, depth),
    ...(field.fields ? fieldLines(field.fields, depth + 1) : []),
  ])
}

const facts = readFacts()

t.test('there is a schema for each of the facts, and none beside', async (t) => {
  const names = allMessages.map((message) => message.name).sort()
  t.equal(new Set(names).size, names.length, 'names are unique')
  t.same(names, [...facts.keys()].sort())
  t.equal(allApis.length, 89)
})

for (const message of allMessages) {
  t.test(message.name, async (t) => {
    const fact = facts.get(message.name)
    if (!fact) return
    t.same(message.versions, parseVersions(fact.versions), 'versions')
    t.same(message.flexible, parseVersions(fact.flexible), 'flexible versions')
    t.same(fieldLines(message.fields), fact.fields, 'fields')
  })
}

t.test('keys', async (t) => {
  for (const api of allApis) {
    t.equal(api.key, facts.get(`${api.name}Request`)?.key, api.name)
    t.equal(api.key, facts.get(`${api.name}Response`)?.key, api.name)
  }
})
