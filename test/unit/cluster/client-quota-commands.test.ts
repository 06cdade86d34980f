import t from 'tap'
import { decideAlterClientQuotas } from '../../../src/cluster/client-quota-commands.ts'
import type { ClientQuotas } from '../../../src/cluster/client-quotas.ts'
import { MetadataDelta } from '../../../src/cluster/metadata-delta.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import { decodeRecords, encodeRecords } from '../../../src/cluster/metadata-records.ts'
import { TestMachine } from './machine-fixture.ts'

type Operations = Record<string, number | null>

const alteration = (entity: Record<string, string | null>, operations: Operations) => ({
  entity: new Map(Object.entries(entity)),
  ops: Object.entries(operations).map(([key, value]) => ({
    key,
    value: value ?? 0,
    remove: value === null,
  })),
})

const alter = (
  machine: TestMachine,
  entity: Record<string, string | null>,
  operations: Operations,
): string | null => {
  const alterations = [alteration(entity, operations)]
  const command = { alterations, validateOnly: false }
  return machine.run(machine.machine.alterClientQuotas(command))[0]?.errorMessage ?? null
}

const told = (quotas: ClientQuotas) =>
  [...quotas.all()].map(({ entity, values }) => [
    Object.fromEntries(entity),
    Object.fromEntries(values),
  ])

t.test('quotas are set, changed, removed and kept through the log', async (t) => {
  const machine = new TestMachine(0)
  t.equal(alter(machine, { user: 'a' }, { producer_byte_rate: 1, request_percentage: 2.5 }), null)
  t.equal(alter(machine, { user: 'a', 'client-id': null }, { producer_byte_rate: 3 }), null)
  t.equal(alter(machine, { 'client-id': null, user: 'a' }, { consumer_byte_rate: 4 }), null)
  t.equal(alter(machine, { user: 'a' }, { request_percentage: null, unknown: null }), null)
  const expected = [
    [{ user: 'a' }, { producer_byte_rate: 1 }],
    [
      { user: 'a', 'client-id': null },
      { producer_byte_rate: 3, consumer_byte_rate: 4 },
    ],
  ]
  t.same(told(machine.image.clientQuotas), expected)
  t.same(told(machine.image.copy().clientQuotas), expected)

  const loaded = new MetadataImage()
  const snapshot = encodeRecords([...machine.image.toRecords()])
  loaded.applyEntry(0, decodeRecords(snapshot), new MetadataDelta())
  t.same(told(loaded.clientQuotas), expected)

  alter(machine, { user: 'a' }, { producer_byte_rate: null })
  t.equal(told(machine.image.clientQuotas).length, 1)
  t.same(told(loaded.clientQuotas), expected, 'the other image goes on by itself')
})

t.test('nothing is written for what stays, what is refused or what is only asked', async (t) => {
  const image = new MetadataImage()
  const decide = (validateOnly: boolean, ...alterations: ReturnType<typeof alteration>[]) =>
    decideAlterClientQuotas(image, { alterations, validateOnly })
  const good = alteration({ user: 'a' }, { producer_byte_rate: 1 })
  t.equal(decide(true, good).records.length, 0)
  const decision = decide(false, good)
  t.equal(decision.records.length, 1)
  for (const record of decision.records) image.apply(record, new MetadataDelta())
  t.equal(decide(false, good).records.length, 0)
  const bad = alteration({ user: 'a' }, { producer_byte_rate: 2, consumer_byte_rate: -1 })
  t.equal(decide(false, bad).records.length, 0)
  const twice = decide(false, alteration({ user: 'a' }, { producer_byte_rate: 5 }), good)
  t.equal(twice.records.length, 0)
  t.match(twice.answer, [
    { errorMessage: 'Ignoring duplicate entity ClientQuotaEntity(entries={user=a})' },
  ])
})

t.test('addresses are addresses', async (t) => {
  const machine = new TestMachine(0)
  const good = ['127.0.0.1', '0.0.0.0', '::', '::1', 'fe80::1', '1:2:3:4:5:6:7:8', '1::8']
  for (const ip of [...good, '::ffff:1.2.3.4', '1:2:3:4:5:6:1.2.3.4']) {
    t.equal(alter(machine, { ip }, { connection_creation_rate: 1 }), null, ip)
  }
  const bad = ['1.2.3', '256.1.1.1', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9']
  for (const ip of [...bad, '12345::', 'g::', '::1.2.3', '1:2:3:4:5:6:7::8', 'localhost', ' ']) {
    const sentence = `${ip} is not a valid IP or resolvable host.`
    t.equal(alter(machine, { ip }, { connection_creation_rate: 1 }), sentence, ip)
  }
})

t.test('values that are no quota', async (t) => {
  const machine = new TestMachine(0)
  t.match(alter(machine, { user: 'a' }, { request_percentage: Number.NaN }), /must be a number/)
  t.match(alter(machine, { user: 'a' }, { request_percentage: Infinity }), /must be finite/)
  t.match(alter(machine, { user: 'a' }, { constructor: 1 }), /Invalid configuration key/)
  t.match(alter(machine, { user: 'x'.repeat(40_000) }, { producer_byte_rate: 1 }), /too long/)
  t.ok(machine.image.clientQuotas.isEmpty)
})

t.test('a record that is no quota stops the reader', async (t) => {
  const quota = {
    kind: 'clientQuota',
    entity: [{ entityType: 'user', entityName: null }],
    key: 'k',
  }
  const line = (other: object) => Buffer.from(`${JSON.stringify({ ...quota, ...other })}\n`)
  t.equal(decodeRecords(line({ value: 1.5 })).length, 1)
  for (const other of [
    { value: -1 },
    { value: '1' },
    { value: 1, entity: [] },
    { value: 1, key: 2 },
  ]) {
    t.throws(() => decodeRecords(line(other)), { code: 'LMQ_STORE_CORRUPT' })
  }
})
