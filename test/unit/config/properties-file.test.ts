// Goal: server.properties files are read as java.util.Properties reads them.
import t from 'tap'
import { parseProperties } from '../../../src/config/properties-file.ts'

t.test('keys, separators, comments', async (t) => {
  const read = parseProperties(
    '# comment\n! comment too\n\nа=1\r\nb:2\nc 3\n d =  4 \ne\nf=\ng==5\nh = a:b=c # kept\nb=6',
  )
  t.same(
    [...read],
    [
      ['а', '1'],
      ['b', '6'],
      ['c', '3'],
      ['d', '4 '],
      ['e', ''],
      ['f', ''],
      ['g', '=5'],
      ['h', 'a:b=c # kept'],
    ],
  )
})

t.test('continued lines and escapes', async (t) => {
  const read = parseProperties(
    'list=a,\\\n   b,\\\n\tc\npath=C:\\\\data\\ttab\nk\\ e\\=y\\:=v\nuni=\\u00e9\nend=x\\\\\nlast=y\\',
  )
  t.equal(read.get('list'), 'a,b,c')
  t.equal(read.get('path'), 'C:\\data\ttab')
  t.equal(read.get('k e=y:'), 'v')
  t.equal(read.get('uni'), 'é')
  t.equal(read.get('end'), 'x\\')
  t.equal(read.get('last'), 'y')
  t.throws(() => parseProperties('a=\\u12'), SyntaxError)
})

t.test('a comment is not continued, and a continuation may look like one', async (t) => {
  const read = parseProperties('# no \\\na=1\nb=x\\\n#y')
  t.same(
    [...read],
    [
      ['a', '1'],
      ['b', 'x#y'],
    ],
  )
})
