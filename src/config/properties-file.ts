/**
 * Reads the text of a Java properties file: comments, `=`, `:` or blanks after the key, continued lines, escapes.
 * A key that stands twice has its last value, as in Java.
 *
 * @throws {SyntaxError} for a malformed \uXXXX
 */
export function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>()
  for (const line of logicalLines(text)) {
    const { key, value } = splitLine(line)
    properties.set(key, value)
  }
  return properties
}

/** Lines without comments and blank ones; what a trailing backslash continues is joined. */
function* logicalLines(text: string): Generator<string> {
  let open: string | undefined
  for (const raw of text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/)) {
    const line = raw.replace(/^[ \t\f]+/, '')
    if (open === undefined && (line === '' || line.startsWith('#') || line.startsWith('!')))
      continue
    const whole = (open ?? '') + line
    const slashes = /\\*$/.exec(line)?.[0].length ?? 0
    if (slashes % 2 === 1) {
      open = whole.slice(0, -1)
      continue
    }
    open = undefined
    yield whole
  }
  if (open !== undefined && open !== '') yield open
}

function splitLine(line: string): { key: string; value: string } {
  let at = 0
  while (at < line.length && !'=: \t\f'.includes(line.charAt(at))) {
    at += line.charAt(at) === '\\' ? 2 : 1
  }
  const key = line.slice(0, at)
  const value = line.slice(at).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '')
  return { key: withoutEscapes(key), value: withoutEscapes(value) }
}

const named: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function withoutEscapes(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|([\s\S]))/g,
    (_all, code?: string, plain?: string) => {
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
      if (plain === 'u') throw new SyntaxError('Malformed \\uxxxx encoding.')
      return named[plain ?? ''] ?? plain ?? ''
    },
  )
}
