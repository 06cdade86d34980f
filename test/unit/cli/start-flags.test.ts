import t from 'tap'
import { parseStartFlags, settingsOf } from '../../../src/cli/start-flags.ts'

t.test('flags of a start', async (t) => {
  const given =
    '-p 0 --host ::1 -d /d --ephemeral -c f -s a.b=c --set d=e=f --http-port -1 --log-json'
  t.match(parseStartFlags(given.split(' ')), {
    port: 0,
    host: '::1',
    dataDir: '/d',
    ephemeral: true,
    configFile: 'f',
    settings: { 'a.b': 'c', d: 'e=f' },
    httpPort: -1,
    logJson: true,
  })
  t.match(parseStartFlags(['--http-port=-1', '--broker-id', '7']), { httpPort: -1, brokerId: 7 })
  t.same(parseStartFlags([]).settings, {})
  t.equal(parseStartFlags([]).port, undefined)
})

t.test('what is wrong is said', async (t) => {
  const wrong: [string, RegExp][] = [
    ['--prot 5', /--prot/],
    ['-p x', /0 to 65535/],
    ['-p 70000', /0 to 65535/],
    ['-s novalue', /key=value/],
    ['extra', /extra/],
    ['--port', /port/],
  ]
  for (const [words, message] of wrong) {
    t.throws(() => parseStartFlags(words.split(' ')), { name: 'UsageError', message }, words)
  }
  t.throws(() => settingsOf(['=x']), { name: 'UsageError' })
})
