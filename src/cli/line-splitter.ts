import { UsageError } from './error-sentence.ts'

/** A longer line is no record any broker takes. */
const maxLineBytes = 128 * 1024 * 1024
const newline = 0x0a

/** Cuts a stream of bytes into lines without their ends. Bytes stay as they are: nothing is decoded. */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let open: Buffer[] = []
  let openBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const rest = chunk.subarray(start, end)
      yield open.length === 0 ? rest : Buffer.concat([...open, rest])
      open = []
      openBytes = 0
      start = end + 1
    }
    if (start < chunk.length) {
      const rest = chunk.subarray(start)
      open.push(rest)
      openBytes += rest.length
      if (openBytes > maxLineBytes) throw new UsageError('a line of the input is too long')
    }
  }
  if (open.length > 0) yield Buffer.concat(open)
}
