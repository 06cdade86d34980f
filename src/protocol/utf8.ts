/** Node's own direct UTF-8 paths: they skip the argument checks of toString and write, which show in profiles. */
type Utf8Buffer = Buffer & {
  utf8Slice(start: number, end: number): string
  utf8Write(text: string, offset: number, length: number): number
}

export function utf8Slice(buffer: Buffer, start: number, end: number): string {
  return (buffer as Utf8Buffer).utf8Slice(start, end)
}

export function utf8Write(buffer: Buffer, text: string, offset: number, length: number): number {
  return (buffer as Utf8Buffer).utf8Write(text, offset, length)
}
