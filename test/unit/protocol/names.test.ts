// Small tables and notations of the protocol.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { apiNames } from '../../../src/protocol/api-names.ts'
import { ErrorCode, errorName, retriableErrors } from '../../../src/protocol/error-code.ts'
import { isUuid, uuidSlice, uuidWrite, ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { inRange, parseVersions } from '../../../src/protocol/versions.ts'
import { allApis } from '../../oracle/all-messages.ts'

t.test('version ranges', async (t) => {
  t.same(parseVersions('3'), { min: 3, max: 3 })
  t.same(parseVersions('3-12'), { min: 3, max: 12 })
  t.same(parseVersions('3+', 9), { min: 3, max: 9 })
  t.equal(inRange(parseVersions('none'), 0), false)
  t.equal(inRange(parseVersions('0+'), 32767), true)
  t.equal(inRange(parseVersions('2-4'), 1), false)
  t.equal(inRange(parseVersions('2-4'), 5), false)
  t.throws(() => parseVersions('3..4'), TypeError)
  t.throws(() => parseVersions(''), TypeError)
})

t.test('uuids', async (t) => {
  const id = 'zA9-_bcdefghijklmnopqw'
  const bytes = Buffer.alloc(20)
  t.equal(uuidWrite(bytes, id, 2), true)
  t.equal(uuidSlice(bytes, 2), id)
  t.equal(uuidSlice(Buffer.alloc(16), 0), ZERO_UUID)
  t.equal(isUuid(id), true)
  for (const wrong of ['', id.slice(1), `${id}A`, `${id.slice(1)}B`, `${id.slice(2)}=A`]) {
    t.equal(isUuid(wrong), false, wrong)
    t.equal(uuidWrite(bytes, wrong, 0), false, wrong)
  }
})

t.test('names of APIs', async (t) => {
  for (const { key, name } of allApis) t.equal(apiNames[key], name)
  t.equal(Object.keys(apiNames).length, allApis.length)
})

t.test('error codes are those of Kafka', async (t) => {
  const file = new URL('../../golden/error-codes.txt', import.meta.url)
  const rows = readFileSync(file, 'utf8').trimEnd().split('\n')
  const facts = rows.map((row) => row.split(' '))
  const expected = Object.fromEntries(facts.map(([code, name]) => [name, code]))
  const actual = Object.fromEntries(
    Object.entries(ErrorCode).map(([name, code]) => [name, `${code}`]),
  )
  t.same(actual, expected)
  for (const [name, code] of Object.entries(ErrorCode)) t.equal(errorName(code), name)
  const retriable = facts.filter(([, , kind]) => kind === 'retriable').map(([code]) => Number(code))
  t.same([...retriableErrors], retriable)
})
