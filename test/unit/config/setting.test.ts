// Goal: texts are read, bounded and refused as Kafka 4.3.1 does. The sentences were recorded from a real broker.
import t from 'tap'
import {
  bool,
  double,
  duration,
  int,
  javaDouble,
  LONG_MAX,
  list,
  oneOf,
  string,
} from '../../../src/config/setting.ts'

const about = 'for the test'

t.test('integers keep their text and saturate', async (t) => {
  const setting = duration({ default: LONG_MAX, min: -1, about })
  t.equal(setting.defaultText, '9223372036854775807')
  t.same(setting.read('retention.ms', '9223372036854775807'), {
    value: Number.MAX_SAFE_INTEGER,
    text: '9223372036854775807',
  })
  t.same(setting.read('retention.ms', ' +5 '), { value: 5, text: '5' })
  t.same(setting.read('retention.ms', '\t5\x1d\x0f'), { value: 5, text: '5' }, 'as by Java')
  for (const text of ['x', '', '5.0', '9223372036854775808', '1e3', '9'.repeat(1_000_000)]) {
    const { refusal = '' } = setting.read('retention.ms', text)
    t.match(refusal, 'for configuration retention.ms: Not a number of type LONG')
  }
  t.same(setting.read('retention.ms', '-2'), {
    refusal: 'Invalid value -2 for configuration retention.ms: Value must be at least -1',
  })
  t.same(int({ default: 1, about }).read('a', '99999999999'), {
    refusal: 'Invalid value 99999999999 for configuration a: Not a number of type INT',
  })
  const level = int({ default: -1, min: 1, max: 9, or: -1, about })
  t.same(level.read('a', '-1'), { value: -1, text: '-1' })
  t.same(level.read('a', '0'), {
    refusal: 'Invalid value 0 for configuration a: Value must be between 1 and 9 or equal to -1',
  })
})

t.test('booleans, doubles and choices', async (t) => {
  t.same(bool({ default: false, about }).read('a', ' TRUE '), { value: true, text: 'true' })
  t.same(bool({ default: false, about }).read('a', 'yes'), {
    refusal: 'Invalid value yes for configuration a: Expected value to be either true or false',
  })
  const ratio = double({ default: 0.5, min: 0, max: 1, about })
  t.same(ratio.read('a', '.5f'), { value: 0.5, text: '0.5' })
  t.same(ratio.read('a', '1'), { value: 1, text: '1.0' })
  t.same(ratio.read('a', '1.5'), {
    refusal: 'Invalid value 1.5 for configuration a: Value must be no more than 1',
  })
  t.same(ratio.read('a', 'x'), {
    refusal: 'Invalid value x for configuration a: Not a number of type DOUBLE',
  })
  const choice = oneOf(['lz4', 'gzip'], { default: 'lz4', about })
  t.same(choice.read('a', ' gzip '), { value: 'gzip', text: 'gzip' })
  t.same(choice.read('a', 'GZIP'), {
    refusal: 'Invalid value GZIP for configuration a: String must be one of: lz4, gzip',
  })
  t.same(string({ default: null, about }).read('a', ' x '), { value: 'x', text: 'x' })
})

t.test('lists', async (t) => {
  const policy = list({ default: ['delete'], of: ['compact', 'delete'], about })
  t.same(policy.read('p', 'compact , delete'), {
    value: ['compact', 'delete'],
    text: 'compact,delete',
  })
  t.same(policy.read('p', 'compact,compact'), { value: ['compact'], text: 'compact' })
  t.same(policy.read('p', ''), { value: [], text: '' })
  t.same(policy.read('p', 'compact,x'), {
    refusal: 'Invalid value x for configuration p: String must be one of: compact, delete',
  })
  t.same(policy.read('p', 'compact,'), {
    refusal: "Configuration 'p' values must not be empty.",
  })
  const full = list({ default: ['a'], notEmpty: true, about })
  t.match(full.read('p', '').refusal, /must not be empty/)
})

t.test('doubles are written as Java writes them', async (t) => {
  t.equal(javaDouble(0.5), '0.5')
  t.equal(javaDouble(3), '3.0')
  t.equal(javaDouble(1e7), '1.0E7')
  t.equal(javaDouble(1.25e-4), '1.25E-4')
  t.equal(javaDouble(Number.MAX_VALUE), '1.7976931348623157E308')
  t.equal(javaDouble(0), '0.0')
})
