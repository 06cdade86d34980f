// Goal: lines come out byte for byte, however the input is cut.
import fc from 'fast-check'
import t from 'tap'
import { splitLines } from '../../../src/cli/line-splitter.ts'

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function linesOf(bytes: Buffer, size: number): Promise<string[]> {
  const lines: string[] = []
  for await (const line of splitLines(cut(bytes, size))) lines.push(line.toString('latin1'))
  return lines
}

t.test('any cut', async () => {
  const texts = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(
      texts,
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (list, size, end) => {
        const lines = list.map((line) => Buffer.from(line).toString('latin1').replaceAll('\n', ' '))
        const text = lines.join('\n') + (end && lines.length > 0 ? '\n' : '')
        const wanted = text === '' ? [] : text.replace(/\n$/, '').split('\n')
        const found = await linesOf(Buffer.from(text, 'latin1'), size)
        return JSON.stringify(found) === JSON.stringify(wanted)
      },
    ),
  )
})

t.test('ends of lines', async (t) => {
  t.same(await linesOf(Buffer.from('a\r\n\nb'), 2), ['a\r', '', 'b'])
  t.same(await linesOf(Buffer.from('\n'), 1), [''])
  t.same(await linesOf(Buffer.alloc(0), 1), [])
})
