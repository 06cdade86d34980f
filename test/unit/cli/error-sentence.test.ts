// Goal: whatever goes wrong, a person reads one sentence that says what to do, and a script an exit code.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { sentenceOf, UsageError } from '../../../src/cli/error-sentence.ts'
import { OutcomeError } from '../../../src/client/outcome-error.ts'

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

const cases: [string, unknown, RegExp, number][] = [
  ['usage', new UsageError('give a number'), /^give a number$/, 2],
  [
    'nobody there',
    new LmqError('LMQ_CONNECTION_CLOSED', { address: 'h:1' }, refused),
    /^cannot reach h:1 \(nothing listens there\): start a broker/,
    3,
  ],
  [
    'silence',
    new LmqError('LMQ_REQUEST_TIMED_OUT', { address: 'h:1', api: 'Metadata' }),
    /^no answer to Metadata from h:1, though it listens: see its log and `lmq cluster status`, or wait longer with --timeout$/,
    3,
  ],
  [
    'a broker that is told nothing by its store',
    new OutcomeError(7, 'topic x'),
    /^topic x: REQUEST_TIMED_OUT: see the broker's log and `lmq cluster status`/,
    1,
  ],
  [
    'port',
    new LmqError('LMQ_PORT_TAKEN', { host: 'a', port: 5 }),
    /^port 5 on a is already in use: .*--port/,
    3,
  ],
  ['folder', new LmqError('LMQ_LOG_DIR_TAKEN', { path: '/d' }), /data folder \/d: .*--data/, 3],
  [
    'setting',
    new LmqError('LMQ_CONFIG_INVALID', { key: 'a', value: 'b', source: 'f', reason: 'because' }),
    /^a=b \(from f\) is not allowed: because$/,
    2,
  ],
  [
    'unknown setting',
    new LmqError('LMQ_CONFIG_UNKNOWN', { key: 'a', source: 'set', nearest: 'b', also: ['c=d'] }),
    /^there is no setting a: did you mean b\?; also wrong: c=d$/,
    2,
  ],
  [
    'file',
    new LmqError('LMQ_CONFIG_INVALID', { file: '/f', reason: 'cannot be read' }),
    /^\/f: cannot be read/,
    2,
  ],
  [
    'not Kafka',
    new LmqError('LMQ_PROTOCOL', { what: 'impossible frame size', size: 1_213_486_160 }),
    /does not speak Kafka's protocol .*--bootstrap/,
    1,
  ],
  [
    'no usable folder',
    new LmqError('LMQ_LOG_DIR_OFFLINE', { dirs: ['/x'] }),
    /^no data folder can be used \(\/x\): .*--data/,
    1,
  ],
  ['outcome', new OutcomeError(3, 'topic x'), /^topic x: UNKNOWN_TOPIC_OR_PARTITION: see what/, 1],
  [
    'outcome without advice',
    new OutcomeError(42, 'topic x', 'why'),
    /^topic x: INVALID_REQUEST \(why\)$/,
    1,
  ],
  ['a bug keeps its stack', new TypeError('x is undefined'), /TypeError: x is undefined\n +at /, 1],
  ['the system', Object.assign(new Error('EACCES: no'), { code: 'EACCES' }), /^EACCES: no$/, 1],
]
for (const [name, error, text, exitCode] of cases) {
  t.test(name, async (t) => {
    const sentence = sentenceOf(error)
    t.match(sentence.text, text)
    t.equal(sentence.exitCode, exitCode)
  })
}
