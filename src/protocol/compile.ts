/**
 * Compiles a message layout into one decode and one encode function per version. The generated code is straight
 * line: no look-up of versions or types is left, every struct is built as one object literal with the same shape in
 * all versions, and neighbouring fields of fixed size share one bounds check.
 */
import { int64At } from './int64.ts'
import { protocolError } from './protocol-error.ts'
import type { Decode, Encode, Field, FieldOptions, Fields, Message } from './schema.ts'
import { ZERO_UUID } from './uuid.ts'
import { inRange, parseVersions } from './versions.ts'
import { badValue, putInt32, putInt64, Writer } from './writer.ts'

type Layout = Pick<Message<Fields>, 'name' | 'versions' | 'flexible' | 'fields'>

/** What a field is in one version. */
type Placed = {
  name: string
  field: Field
  options: FieldOptions
  present: boolean
  nullable: boolean
  tag: number | undefined
  compact: boolean
}

/** The fields of a struct as one version sees them, in wire order. */
export function placeFields(fields: Fields, version: number, flexible: boolean): Placed[] {
  return Object.entries(fields).map(([name, field]) => {
    const options = field.options
    const present = inRange(parseVersions(field.versions), version)
    const tagged =
      options.tag !== undefined && inRange(parseVersions(options.tagged ?? field.versions), version)
    return {
      name,
      field,
      options,
      present,
      nullable: options.nullable !== undefined && inRange(parseVersions(options.nullable), version),
      tag: present && tagged && flexible ? options.tag : undefined,
      compact: flexible && options.flexible !== 'none',
    }
  })
}

/** The value an absent field reads as. Structs: their fields' defaults. */
export function defaultOf(field: Field): unknown {
  if ('default' in field.options) return field.options.default
  if (field.isArray) return []
  switch (field.kind) {
    case 'struct':
      return Object.fromEntries(
        Object.entries(field.fields ?? {}).map(([name, inner]) => [name, defaultOf(inner)]),
      )
    case 'bool':
      return false
    case 'string':
      return ''
    case 'uuid':
      return ZERO_UUID
    case 'bytes':
      return EMPTY
    case 'records':
      return null
    default:
      return 0
  }
}

const EMPTY = Buffer.alloc(0)

/** The source text of a default; objects and arrays are made anew each time. */
function defaultSource(field: Field): string {
  const value = defaultOf(field)
  if (Buffer.isBuffer(value)) return 'EMPTY'
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    const inner = Object.entries(field.fields ?? {})
    return `{${inner.map(([name, f]) => `${name}:${defaultSource(f)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** The fewest bytes an element takes on the wire, at least one, so that a count is bounded by the bytes left. */
function minBytes(field: Field, version: number, flexible: boolean): number {
  switch (field.kind) {
    case 'int16':
    case 'uint16':
      return 2
    case 'int32':
    case 'uint32':
      return 4
    case 'int64':
    case 'float64':
      return 8
    case 'uuid':
      return 16
    case 'string':
      return flexible ? 1 : 2
    case 'bytes':
    case 'records':
      return flexible ? 1 : 4
    case 'struct': {
      let sum = flexible ? 1 : 0
      for (const placed of placeFields(field.fields ?? {}, version, flexible)) {
        if (!placed.present || placed.tag !== undefined) continue
        if (placed.field.isArray) sum += placed.compact ? 1 : 4
        else if (placed.field.kind === 'struct' && placed.nullable) sum += 1
        else sum += minBytes(placed.field, version, placed.compact)
      }
      return Math.max(1, sum)
    }
    default:
      return 1
  }
}

/** About what an element takes in memory once decoded: what a count is weighed with before it is believed. */
function decodedBytes(field: Field): number {
  switch (field.kind) {
    case 'string':
    case 'uuid':
      return 48
    case 'bytes':
    case 'records':
      return 128
    case 'struct': {
      let sum = 32
      for (const inner of Object.values(field.fields ?? {})) {
        sum += inner.isArray ? 32 : decodedBytes(inner)
      }
      return sum
    }
    default:
      return 16
  }
}

/** How a number of fixed size is read from `b[at]`, checked as `x`, and stored: source text for each. */
type FixedKind = {
  size: number
  read: (at: string) => string
  fits: string
  store: (at: string) => string
}

const fixedKinds: Readonly<Record<string, FixedKind>> = {
  bool: {
    size: 1,
    read: (at) => `b[${at}] !== 0`,
    fits: `typeof x === 'boolean'`,
    store: (at) => `b[${at}] = x ? 1 : 0`,
  },
  int8: {
    size: 1,
    read: (at) => `(b[${at}] << 24) >> 24`,
    fits: '(x << 24) >> 24 === x',
    store: (at) => `b[${at}] = x`,
  },
  int16: {
    size: 2,
    read: (at) => `((b[${at}] << 24) | (b[${at} + 1] << 16)) >> 16`,
    fits: '(x << 16) >> 16 === x',
    store: (at) => `b[${at}] = x >>> 8; b[${at} + 1] = x`,
  },
  uint16: {
    size: 2,
    read: (at) => `(b[${at}] << 8) | b[${at} + 1]`,
    fits: '(x & 0xffff) === x',
    store: (at) => `b[${at}] = x >>> 8; b[${at} + 1] = x`,
  },
  int32: {
    size: 4,
    read: (at) => `(b[${at}] << 24) | (b[${at} + 1] << 16) | (b[${at} + 2] << 8) | b[${at} + 3]`,
    fits: '(x | 0) === x',
    store: (at) => `putInt32(b, ${at}, x)`,
  },
  int64: {
    size: 8,
    read: (at) => `int64At(b, ${at})`,
    fits: 'Number.isSafeInteger(x)',
    store: (at) => `putInt64(b, ${at}, x)`,
  },
}

/** Two fields or more are worth a bounds check of their own; a single one is not. */
const MIN_RUN = 2

function fixedKind(p: Placed): FixedKind | undefined {
  if (!p.present || p.tag !== undefined || p.field.isArray) return undefined
  return fixedKinds[p.field.kind]
}

/** The wire order cut into runs: neighbours of fixed size together, any other field alone. Absent ones are left out. */
function runsOf(placed: readonly Placed[]): Placed[][] {
  const runs: Placed[][] = []
  let open: Placed[] | undefined
  for (const p of placed) {
    if (!p.present || p.tag !== undefined) continue
    if (fixedKind(p) === undefined) {
      open = undefined
      runs.push([p])
    } else if (open) open.push(p)
    else {
      open = [p]
      runs.push(open)
    }
  }
  return runs
}

/** Reads or writes of text and bytes: which of the four forms. */
function blobMethod(kind: string, compact: boolean, nullable: boolean): string {
  const base = kind === 'string' ? 'String' : 'Bytes'
  if (compact) return nullable ? `compactNullable${base}` : `compact${base}`
  return nullable ? `nullable${base}` : base.toLowerCase()
}

function scalarMethod(placed: Placed): string {
  const { kind } = placed.field
  if (kind === 'string' || kind === 'bytes' || kind === 'records') {
    return blobMethod(kind, placed.compact, placed.nullable)
  }
  return kind
}

class Generator {
  readonly functions: string[] = []
  readonly #version: number
  readonly #flexible: boolean
  #next = 0

  constructor(version: number, flexible: boolean) {
    this.#version = version
    this.#flexible = flexible
  }

  /** Adds a function that decodes one struct and returns its name. */
  decodeStruct(fields: Fields): string {
    const name = `d${this.#next++}`
    const placed = placeFields(fields, this.#version, this.#flexible)
    const lines: string[] = []
    const local = new Map(placed.map((p, i) => [p, `v${i}`]))
    const localOf = (p: Placed) => local.get(p) as string
    for (const p of placed) {
      if (!p.present || p.tag !== undefined) {
        lines.push(`let ${localOf(p)} = ${defaultSource(p.field)}`)
      }
    }
    for (const [i, run] of runsOf(placed).entries()) {
      if (run.length >= MIN_RUN) lines.push(...this.#decodeRun(run, `at${i}`, localOf))
      else for (const p of run) lines.push(...this.#decodeField(p, localOf(p)))
    }
    lines.push('let unknown')
    if (this.#flexible) lines.push(...this.#decodeTags(placed))
    const literal = placed.map((p) => `${p.name}: ${localOf(p)}`).join(', ')
    lines.push(`const message = {${literal}}`)
    lines.push('if (unknown !== undefined) message.unknownTags = unknown')
    lines.push('return message')
    this.functions.push(`function ${name}(r) {\nconst b = r.buffer\n${lines.join('\n')}\n}`)
    return name
  }

  #decodeRun(run: Placed[], at: string, localOf: (p: Placed) => string): string[] {
    let size = 0
    const reads = run.map((p) => {
      const kind = fixedKind(p) as FixedKind
      const line = `const ${localOf(p)} = ${kind.read(`${at} + ${size}`)}`
      size += kind.size
      return line
    })
    return [`const ${at} = r.take(${size})`, ...reads]
  }

  #decodeTags(placed: Placed[]): string[] {
    const cases = placed.flatMap((p, i) =>
      p.tag === undefined
        ? []
        : [`case ${p.tag}: {`, ...this.#decodeField(p, `t`), `v${i} = t`, 'break', '}'],
    )
    return [
      'let count = r.uvarint(), last = -1',
      'while (count-- > 0) {',
      'const tag = r.uvarint(), size = r.uvarint()',
      'if (tag <= last) throw tagOrder(tag)',
      'last = tag',
      'if (size > r.remaining) throw tagSize(tag, size)',
      'const stop = r.position + size',
      'switch (tag) {',
      ...cases,
      'default: (unknown ??= []).push(r.unknownTag(tag, size))',
      '}',
      'if (r.position !== stop) throw tagSize(tag, size)',
      '}',
    ]
  }

  #decodeField(p: Placed, target: string): string[] {
    const { field } = p
    if (field.isArray) return this.#decodeArray(p, target)
    if (field.kind !== 'struct') return [`let ${target} = r.${scalarMethod(p)}()`]
    const decode = this.decodeStruct(field.fields ?? {})
    if (!p.nullable) return [`let ${target} = ${decode}(r)`]
    return [`let ${target} = r.int8() < 0 ? null : ${decode}(r)`]
  }

  #decodeArray(p: Placed, target: string): string[] {
    const { field } = p
    const element = { ...p, nullable: false }
    const read =
      field.kind === 'struct'
        ? `${this.decodeStruct(field.fields ?? {})}(r)`
        : `r.${scalarMethod(element)}()`
    const length = p.compact ? 'compactArrayLength' : 'arrayLength'
    const min = minBytes({ ...field, isArray: false }, this.#version, p.compact)
    const onNull = p.nullable ? `${target} = null` : `throw nullArray(${JSON.stringify(p.name)})`
    const fixed = fixedKinds[field.kind]
    const loop =
      fixed === undefined
        ? `for (let i = 0; i < n; i++) ${target}.push(${read})`
        : `for (let i = 0, at = r.take(n * ${fixed.size}); i < n; i++, at += ${fixed.size}) ${target}.push(${fixed.read('at')})`
    return [
      `let ${target}`,
      '{',
      `const n = r.${length}(${min}, ${decodedBytes(field)})`,
      `if (n < 0) ${onNull}`,
      `else { ${target} = []; ${loop} }`,
      '}',
    ]
  }

  /** Adds a function that encodes one struct and returns its name. */
  encodeStruct(fields: Fields, field: string): string {
    const name = `e${this.#next++}`
    const placed = placeFields(fields, this.#version, this.#flexible)
    const lines = [`if (m === undefined || m === null) throw nullValue(${JSON.stringify(field)})`]
    for (const p of placed) {
      if (p.present || p.options.ignorable) continue
      lines.push(
        `if (m.${p.name} !== undefined && ${this.#differs(p.field, `m.${p.name}`)}) throw absent(${JSON.stringify(p.name)})`,
      )
    }
    for (const [i, run] of runsOf(placed).entries()) {
      if (run.length >= MIN_RUN) lines.push(...this.#encodeRun(run, `at${i}`))
      else for (const p of run) lines.push(...this.#encodeField(p, 'w'))
    }
    if (this.#flexible) lines.push(...this.#encodeTags(placed))
    this.functions.push(`function ${name}(w, m) {\n${lines.join('\n')}\n}`)
    return name
  }

  #encodeRun(run: Placed[], at: string): string[] {
    let size = 0
    const stores = run.map((p) => {
      const kind = fixedKind(p) as FixedKind
      const line = [
        `x = m.${p.name}`,
        `if (x === undefined) x = ${defaultSource(p.field)}`,
        `if (!(${kind.fits})) throw badValue('${p.field.kind}', x, ${JSON.stringify(p.name)})`,
        kind.store(`${at} + ${size}`),
      ].join('; ')
      size += kind.size
      return line
    })
    return [`const ${at} = w.claim(${size})`, '{', 'const b = w.buffer; let x', ...stores, '}']
  }

  #encodeTags(placed: Placed[]): string[] {
    const tagged = placed
      .filter((p) => p.tag !== undefined)
      .sort((a, b) => (a.tag as number) - (b.tag as number))
    const lines = [
      'const unknown = m.unknownTags',
      'let count = unknown === undefined ? 0 : unknown.length, next = 0',
    ]
    for (const p of tagged) {
      const given = `m.${p.name}`
      lines.push(
        `const has${p.tag} = ${given} !== undefined && ${this.#differs(p.field, given)}`,
        `if (has${p.tag}) count++`,
      )
    }
    lines.push('w.uvarint(count)')
    for (const p of tagged) {
      lines.push(
        `if (has${p.tag}) {`,
        `if (unknown !== undefined) next = w.unknownTags(unknown, next, ${p.tag})`,
        'const tw = new Writer(true)',
        ...this.#encodeField(p, 'tw'),
        `w.tagged(${p.tag}, tw)`,
        '}',
      )
    }
    lines.push('if (unknown !== undefined) w.unknownTags(unknown, next, Infinity)')
    return lines
  }

  #encodeField(p: Placed, writer: string): string[] {
    const { field, name } = p
    const local = `x_${name}`
    const lines = [
      `let ${local} = m.${name}`,
      `if (${local} === undefined) ${local} = ${defaultSource(field)}`,
    ]
    if (!p.nullable && !['bool', 'uuid'].includes(field.kind)) {
      lines.push(`if (${local} === null) throw nullValue(${JSON.stringify(name)})`)
    }
    if (field.isArray) return [...lines, ...this.#encodeArray(p, local, writer)]
    if (field.kind !== 'struct') return [...lines, `${writer}.${scalarMethod(p)}(${local})`]
    const encode = this.encodeStruct(field.fields ?? {}, name)
    if (!p.nullable) return [...lines, `${encode}(${writer}, ${local})`]
    return [
      ...lines,
      `if (${local} === null) ${writer}.int8(-1)`,
      `else { ${writer}.int8(1); ${encode}(${writer}, ${local}) }`,
    ]
  }

  #encodeArray(p: Placed, local: string, writer: string): string[] {
    const element = { ...p, nullable: false }
    const write =
      p.field.kind === 'struct'
        ? `${this.encodeStruct(p.field.fields ?? {}, p.name)}(${writer}, ${local}[i])`
        : `${writer}.${scalarMethod(element)}(${local}[i])`
    const length = p.compact
      ? `${writer}.uvarint(${local}.length + 1)`
      : `${writer}.int32(${local}.length)`
    const body = `${length}; for (let i = 0; i < ${local}.length; i++) ${write}`
    if (!p.nullable) return [`{ ${body} }`]
    const none = p.compact ? `${writer}.uvarint(0)` : `${writer}.int32(-1)`
    return [`if (${local} === null) ${none}`, `else { ${body} }`]
  }

  /** An expression: does the value differ from the field's default? */
  #differs(field: Field, expression: string): string {
    const value = defaultOf(field)
    if (value === null) return `${expression} !== null`
    if (field.isArray) return `(${expression} === null || ${expression}.length !== 0)`
    if (field.kind === 'bytes' || field.kind === 'records') {
      return `(${expression} === null || ${expression}.length !== 0)`
    }
    if (field.kind !== 'struct') return `${expression} !== ${JSON.stringify(value)}`
    const inner = Object.entries(field.fields ?? {}).map(
      ([name, f]) =>
        `(${expression}.${name} !== undefined && ${this.#differs(f, `${expression}.${name}`)})`,
    )
    // Nothing but fields that this version does not know: those have to survive too.
    inner.push(`${expression}.unknownTags !== undefined`)
    return `(${expression} === null || ${inner.join(' || ')})`
  }
}

/** Names that generated code uses. */
function runtime(layout: Layout, version: number) {
  const facts = { message: layout.name, version }
  return {
    Writer,
    EMPTY,
    badValue,
    int64At,
    putInt32,
    putInt64,
    tagOrder: (tag: number) => protocolError('tagged fields out of order', { tag, ...facts }),
    tagSize: (tag: number, size: number) =>
      protocolError('tagged field has a wrong size', { tag, size, ...facts }),
    nullArray: (field: string) =>
      protocolError('null array where none is allowed', { field, ...facts }),
    nullValue: (field: string) => protocolError('null where none is allowed', { field, ...facts }),
    absent: (field: string) => protocolError('this version has no such field', { field, ...facts }),
  }
}

function build<T>(layout: Layout, version: number, functions: string[], entry: string): T {
  const names = runtime(layout, version)
  const source = `'use strict'\n${functions.join('\n')}\nreturn ${entry}`
  return new Function(...Object.keys(names), source)(...Object.values(names)) as T
}

/** Before any work: a peer can name any version as often as it likes. */
function checkVersion(layout: Layout, version: number): void {
  if (!inRange(layout.versions, version)) {
    throw protocolError('no such version', { message: layout.name, version })
  }
}

export function compileDecoder<T>(layout: Layout, version: number): Decode<T> {
  checkVersion(layout, version)
  const generator = new Generator(version, inRange(layout.flexible, version))
  const entry = generator.decodeStruct(layout.fields)
  return build(layout, version, generator.functions, entry)
}

export function compileEncoder<T>(layout: Layout, version: number): Encode<T> {
  checkVersion(layout, version)
  const generator = new Generator(version, inRange(layout.flexible, version))
  const entry = generator.encodeStruct(layout.fields, layout.name)
  return build(layout, version, generator.functions, entry)
}
