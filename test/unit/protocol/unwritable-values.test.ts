// Goal: a value that its type on the wire cannot hold is LMQ_PROTOCOL when it is written; no other bytes stand in.
import t from 'tap'
import type { LmqError } from '../../../src/base/errors.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { heartbeat } from '../../../src/protocol/apis/12-heartbeat.ts'
import { syncGroup } from '../../../src/protocol/apis/14-sync-group.ts'
import {
  array,
  bool,
  bytes,
  defineMessage,
  float64,
  int8,
  int16,
  int32,
  int32s,
  int64,
  string,
  strings,
  struct,
  uint16,
  uint32,
  uuid,
  uuids,
} from '../../../src/protocol/schema.ts'

const bad: Record<string, unknown[]> = {
  bool: [0, 1, 'true', undefined, null],
  int8: [128, -129, 1.5, Number.NaN, '1', undefined, null, 2 ** 32],
  int16: [32768, -32769, 0.5, Number.NaN, undefined, null, 2 ** 32],
  uint16: [65536, -1, 0.5, Number.NaN, undefined, null],
  int32: [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN, undefined, null, Number.POSITIVE_INFINITY],
  uint32: [2 ** 32, -1, 0.5, Number.NaN, undefined, null],
  int64: [2 ** 53, -(2 ** 53), 0.5, Number.NaN, undefined, null, 1n],
  float64: ['1', null, undefined, 1n],
  uuid: ['', 'A'.repeat(21), 'A'.repeat(23), `${'A'.repeat(21)}B`, '?'.repeat(22), 7, null],
  string: [7, null, undefined, 'x'.repeat(32768), 'é'.repeat(16384), Buffer.from('x')],
  bytes: ['text', 7, null, undefined, [Buffer.alloc(1), 'x'], new Uint8Array(2)],
}
const make = { bool, int8, int16, uint16, int32, uint32, int64, float64, uuid, string, bytes }

for (const [kind, values] of Object.entries(bad)) {
  t.test(kind, async (t) => {
    const field = make[kind as keyof typeof make]
    const elements = array('0+', { it: field('0+') })
    const layouts = [
      // Alone, and between neighbours of fixed size, which are written in one go.
      defineMessage({ name: 'One', versions: '0-1', flexible: '1+', fields: { elements } }),
      defineMessage({
        name: 'Run',
        versions: '0-1',
        flexible: '1+',
        fields: { elements: array('0+', { a: int8('0+'), it: field('0+'), z: int8('0+') }) },
      }),
    ]
    for (const layout of layouts) {
      for (const version of [0, 1]) {
        for (const value of values) {
          if (value === undefined) continue // a field that is left out takes its default
          const message = { elements: [{ a: 1, it: value, z: 1 }] }
          t.throws(
            () => layout.encode(message as never, version),
            { code: 'LMQ_PROTOCOL' },
            `${layout.name} v${version}: ${String(value).slice(0, 30)}`,
          )
        }
      }
    }
  })
}

t.test('elements of arrays', async (t) => {
  const layout = defineMessage({
    name: 'Arrays',
    versions: '0',
    flexible: '0+',
    fields: { numbers: int32s('0+'), texts: strings('0+'), ids: uuids('0+') },
  })
  const good = { numbers: [1], texts: ['a'], ids: ['A'.repeat(22)] }
  t.same(layout.decode(layout.encode(good, 0), 0), good)
  for (const wrong of [undefined, null, Number.NaN]) {
    for (const name of ['numbers', 'texts', 'ids']) {
      const message = { ...good, [name]: [wrong] }
      t.throws(
        () => layout.encode(message as never, 0),
        { code: 'LMQ_PROTOCOL' },
        `${name} ${wrong}`,
      )
    }
  }
  const holes = { groupId: 'g', memberId: 'm', generationId: 1, assignments: [undefined] }
  t.throws(() => syncGroup.request.encode(holes as never, 3), { code: 'LMQ_PROTOCOL' })
})

t.test('edges that fit', async (t) => {
  const layout = defineMessage({
    name: 'Edges',
    versions: '0',
    flexible: 'none',
    fields: {
      a: int8('0+'),
      b: int16('0+'),
      c: uint16('0+'),
      d: int32('0+'),
      e: uint32('0+'),
      f: int64('0+'),
      g: float64('0+'),
      h: string('0+'),
      i: uuid('0+'),
    },
  })
  const rest = { h: 'x'.repeat(32767), i: `${'_'.repeat(21)}w` }
  const low = {
    ...{ a: -128, b: -32768, c: 0, d: -(2 ** 31), e: 0, f: Number.MIN_SAFE_INTEGER },
    ...{ g: Number.NEGATIVE_INFINITY, ...rest },
  }
  const high = {
    ...{ a: 127, b: 32767, c: 65535, d: 2 ** 31 - 1, e: 2 ** 32 - 1 },
    ...{ f: Number.MAX_SAFE_INTEGER, g: Number.MAX_VALUE, ...rest },
  }
  t.same(layout.decode(layout.encode(low, 0), 0), low)
  t.same(layout.decode(layout.encode(high, 0), 0), high)
  const zero = { a: -0, b: -0, c: -0, d: -0, e: -0, f: -0, g: 1, ...rest }
  const read = layout.decode(layout.encode(zero, 0), 0)
  t.ok(Object.is(read.f, 0), 'minus zero is zero in an integer')
  t.equal(read.a, 0)
})

t.test('a lone surrogate becomes a replacement character', async (t) => {
  const message = { groupId: 'a\ud800b', generationId: 1, memberId: 'm' }
  t.equal(heartbeat.request.decode(heartbeat.request.encode(message, 0), 0).groupId, 'a\ufffdb')
})

t.test('what a version has no place for', async (t) => {
  const old = { topics: [], allowAutoTopicCreation: false }
  t.throws(() => metadata.request.encode(old as never, 1), { code: 'LMQ_PROTOCOL' })
  const usual = { ...old, allowAutoTopicCreation: true }
  t.doesNotThrow(() => metadata.request.encode(usual as never, 1))
  const rack = { maxWaitMs: 1, minBytes: 1, topics: [], forgottenTopicsData: [], rackId: 'r' }
  t.equal(fetch.request.encode(rack, 4).indexOf('r'), -1, 'an ignorable field is dropped')
  t.throws(() => heartbeat.request.encode({} as never, 9), { code: 'LMQ_PROTOCOL' }, 'no version')
  try {
    metadata.request.encode(old as never, 1)
  } catch (error) {
    t.match((error as LmqError).facts, { message: 'MetadataRequest', version: 1 })
    t.match((error as LmqError).facts, { field: 'allowAutoTopicCreation' })
  }
})

t.test('unknown tagged fields stand in order among known ones', async (t) => {
  const layout = defineMessage({
    name: 'Tags',
    versions: '0',
    flexible: '0+',
    fields: {
      two: int32('0+', { tag: 2, default: 0 }),
      inner: struct('0+', { x: int8('0+', { tag: 0, default: 0 }) }, { tag: 5 }),
    },
  })
  const unknownTags = [0, 3, 9].map((tag) => ({ tag, bytes: Buffer.from([tag]) }))
  const message = { two: 2, inner: { x: 1 }, unknownTags }
  const encoded = layout.encode(message, 0)
  const expected = '05 00 01 00 02 04 00000002 03 01 03 05 04 01 00 01 01 09 01 09'
  t.equal(encoded.toString('hex'), expected.replaceAll(' ', ''))
  t.same(layout.decode(encoded, 0), message)
  const nothingElse = { two: 0, inner: { x: 0, unknownTags: unknownTags.slice(1) } }
  t.same(layout.decode(layout.encode(nothingElse, 0), 0), nothingElse)
})
