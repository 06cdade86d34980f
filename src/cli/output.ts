/** Where commands write: tables for people, JSON for programs, notes for the person on the error stream. */

export type Column<Row> = {
  readonly title: string
  readonly value: (row: Row) => string | number | null | undefined
}

const shown = (value: string | number | null | undefined): string =>
  value === null || value === undefined || value === '' ? '-' : String(value)

/** Columns as wide as their widest cell, two blanks between; numbers to the right. */
export function tableOf<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => value(row)))
  const widths = columns.map(({ title }, at) =>
    Math.max(title.length, ...cells.map((line) => shown(line[at]).length)),
  )
  const isNumber = columns.map((_, at) => cells.some((line) => typeof line[at] === 'number'))
  const lineOf = (texts: readonly string[]): string =>
    texts
      .map((text, at) =>
        isNumber[at] ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  const head = lineOf(columns.map(({ title }) => title))
  return `${[head, ...cells.map((line) => lineOf(line.map(shown)))].join('\n')}\n`
}

export class Output {
  readonly isJson: boolean

  constructor(isJson: boolean) {
    this.isJson = isJson
  }

  /** One value: as JSON, or as the text that stands for it. */
  result(value: unknown, text: string): void {
    process.stdout.write(this.isJson ? `${JSON.stringify(value, null, 2)}\n` : text)
  }

  /** A list: as a JSON array, or as a table; `none` when it is empty. */
  list<Row>(
    rows: readonly Row[],
    columns: readonly Column<Row>[],
    none: string,
    json: (row: Row) => unknown = (row) => row,
  ): void {
    const text = rows.length === 0 ? '' : tableOf(rows, columns)
    if (rows.length === 0 && !this.isJson) this.note(none)
    this.result(rows.map(json), text)
  }

  /** What was done: nothing in JSON, where the exit code says it. */
  done(value: unknown, text: string): void {
    this.result(value, `${text}\n`)
  }

  /** For the person: never among the data. */
  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }
}

/** Bytes for people: `1.5 MiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
