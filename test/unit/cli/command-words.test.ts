import t from 'tap'
import { commandFirst } from '../../../src/cli/command-words.ts'

const words = (text: string) => text.split(' ')

t.test('the flags of every command may stand before it', async (t) => {
  const cases: [string, string][] = [
    ['-b host:1 topics', 'topics -b host:1'],
    ['--bootstrap=host:1 --json topics describe a', 'topics --bootstrap=host:1 --json describe a'],
    ['--bootstrap-consul c:8500 cluster status', 'cluster --bootstrap-consul c:8500 status'],
    ['--timeout 3 consume a -n 1', 'consume --timeout 3 a -n 1'],
  ]
  for (const [given, wanted] of cases) t.same(commandFirst(words(given)), words(wanted), given)
})

t.test('all else stays', async (t) => {
  const same = [
    'topics -b host:1',
    '--data topics',
    '-p 0 topics',
    '-b topics',
    '--json',
    'start -b',
  ]
  for (const text of same) t.same(commandFirst(words(text)), words(text), text)
  t.same(commandFirst([]), [])
})
