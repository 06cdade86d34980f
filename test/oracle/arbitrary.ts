// Random messages for a layout and version, with fast-check: every field from its whole range, nulls where allowed,
// fields left out where a default stands for them, tagged fields at and off their default, unknown tags.
import fc from 'fast-check'
import type { Field, Fields } from '../../src/protocol/schema.ts'
import { inRange, parseVersions } from '../../src/protocol/versions.ts'
import { type AnyMessage, isFlexible, oracleDefault } from './interpreter.ts'

type Values = Record<string, unknown>
const SAFE = Number.MAX_SAFE_INTEGER

const uuids = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'))

// Well-formed Unicode only: a lone surrogate has no UTF-8 form and would not come back.
const texts = fc.oneof(
  { weight: 6, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', 'x'.repeat(24), 'é'.repeat(127), 'y'.repeat(700)),
  },
)

const blobs = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.constantFrom(0, 127, 512, 513, 5000).map((n) => Buffer.alloc(n, 7)) },
)

const longs = fc.oneof(
  fc.integer({ min: -SAFE, max: SAFE }),
  fc.constantFrom(0, -1, 1, SAFE, -SAFE, 2 ** 32, -(2 ** 32), 2 ** 31, 2 ** 32 - 1, -(2 ** 31) - 1),
)

function intOf(bits: number, signed: boolean): fc.Arbitrary<number> {
  const min = signed ? -(2 ** (bits - 1)) : 0
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1
  return fc.oneof(fc.integer({ min, max }), fc.constantFrom(0, 1, min, max))
}

function scalarOf(kind: string): fc.Arbitrary<unknown> {
  switch (kind) {
    case 'bool':
      return fc.boolean()
    case 'int8':
      return intOf(8, true)
    case 'int16':
      return intOf(16, true)
    case 'uint16':
      return intOf(16, false)
    case 'int32':
      return intOf(32, true)
    case 'uint32':
      return intOf(32, false)
    case 'int64':
      return longs
    case 'float64':
      return fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0))
    case 'uuid':
      return uuids
    case 'string':
      return texts
    default:
      return blobs
  }
}

function valuesOf(field: Field, version: number, flexible: boolean): fc.Arbitrary<unknown> {
  const one =
    field.kind === 'struct'
      ? structOf(field.fields as Fields, version, flexible)
      : scalarOf(field.kind)
  const value = field.isArray ? fc.array(one, { maxLength: 3 }) : one
  const { nullable } = field.options
  if (nullable === undefined || !inRange(parseVersions(nullable), version)) return value
  return fc.option(value, { freq: 4 })
}

function structOf(fields: Fields, version: number, flexible: boolean): fc.Arbitrary<Values> {
  const model: Record<string, fc.Arbitrary<unknown>> = {}
  for (const [name, field] of Object.entries(fields)) {
    if (inRange(parseVersions(field.versions), version)) {
      const value = valuesOf(field, version, flexible)
      const hasDefault = 'default' in field.options || field.options.tag !== undefined
      model[name] = hasDefault
        ? fc.oneof(
            { weight: 4, arbitrary: value },
            { weight: 1, arbitrary: fc.constant(oracleDefault(field)) },
          )
        : value
    }
  }
  const known = fc.record(model)
  if (!flexible) return known
  const taken = new Set(Object.values(fields).map((field) => field.options.tag))
  const tagNumbers = fc
    .oneof(fc.nat(6), fc.integer({ min: 100, max: 100_000 }))
    .filter((tag) => !taken.has(tag))
  const unknownTags = fc.option(
    fc
      .uniqueArray(tagNumbers, { minLength: 1, maxLength: 3 })
      .chain((tags) =>
        fc
          .array(blobs, { minLength: tags.length, maxLength: tags.length })
          .map((contents) =>
            tags.sort((a, b) => a - b).map((tag, i) => ({ tag, bytes: contents[i] as Buffer })),
          ),
      ),
    { nil: undefined, freq: 8 },
  )
  return fc
    .tuple(known, unknownTags)
    .map(([values, tags]) => (tags === undefined ? values : { ...values, unknownTags: tags }))
}

/** What both encoders take; fields that the version does not have are left out. */
export function messagesOf(message: AnyMessage, version: number): fc.Arbitrary<Values> {
  return structOf(message.fields, version, isFlexible(message, version))
}

/** The same message with every absent field at its default: what decoding has to give. */
export function completed(fields: Fields, values: Values): Values {
  const made: Values = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name] === undefined ? oracleDefault(field) : values[name]
    if (field.kind !== 'struct' || value === null) made[name] = value
    else if (field.isArray) {
      made[name] = (value as Values[]).map((one) => completed(field.fields as Fields, one))
    } else made[name] = completed(field.fields as Fields, value as Values)
  }
  if (values['unknownTags'] !== undefined) made['unknownTags'] = values['unknownTags']
  return made
}
