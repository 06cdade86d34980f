// Turns outcomes into the table on stdout and the table in the README.
import { cpus, release, totalmem, type } from 'node:os'
import { clusterMeasures } from './cluster-measures.ts'
import { type Figure, type Measure, measures } from './measures.ts'
import type { Outcome } from './run.ts'

/** What a results file holds: enough to print the tables again. */
export interface Results {
  /** Absent: one broker, or two beside one another. */
  readonly kind?: 'cluster'
  readonly takenAt: string
  readonly machine: string
  /** One-minute load average before the first measure: what else the machine had to do. */
  readonly loadBefore: number
  readonly rounds: number
  readonly seconds: number
  readonly flush: string
  readonly load: string
  readonly targets: readonly { readonly name: string; readonly label: string }[]
  readonly outcomes: readonly Outcome[]
}

/** Both sides run with their defaults; nothing else would compare like with like. */
export const flushMode =
  'no fsync per batch on either side: an acknowledged record is in the page cache (acks=all, one replica)'
export const loadGenerators =
  'librdkafka rdkafka_performance and a Go driver (franz-go, raw sockets)'

export function describeMachine(): string {
  const [first] = cpus()
  const memoryGb = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} x ${first?.model.trim() ?? 'CPU'}, ${memoryGb} GB, ${type()} ${release()}`
}

interface Row {
  readonly title: string
  readonly figure: Figure
  readonly values: readonly (number | undefined)[]
  readonly failure: string | undefined
}

function rowsOf(results: Results): Row[] {
  return results.outcomes.flatMap((outcome) => {
    const known: readonly Pick<Measure, 'name' | 'title' | 'figures'>[] =
      results.kind === 'cluster' ? clusterMeasures : measures
    const measure = known.find(({ name }) => name === outcome.measure)
    if (!measure) throw new Error(`the bench has no measure ${outcome.measure}`)
    return measure.figures.map((figure) => ({
      title: measure.title,
      figure,
      values: outcome.medians.map((figures) => figures[figure.key]),
      failure: outcome.failures.find((failure) => failure !== undefined),
    }))
  })
}

/** The first target's value over the second's; undefined when either is missing or nothing. */
function ratioOf({ values: [first, second] }: Row): number | undefined {
  return first === undefined || !second ? undefined : first / second
}

function goalOf(figure: Figure): string {
  if (figure.ceiling !== undefined) return `<= ${format(figure.ceiling)}`
  if (figure.goal === undefined) return ''
  return `${figure.better === 'higher' ? '>=' : '<='} ${format(figure.goal)}x`
}

/** Whether a row reaches its goal; undefined when it has none or cannot be judged. */
function reached(row: Row): boolean | undefined {
  const { figure, values } = row
  if (figure.ceiling !== undefined) {
    return values[0] === undefined ? undefined : values[0] <= figure.ceiling
  }
  const ratio = ratioOf(row)
  if (figure.goal === undefined || ratio === undefined) return undefined
  return figure.better === 'higher' ? ratio >= figure.goal : ratio <= figure.goal
}

/** Three significant digits, thousands separated. */
export function format(value: number | undefined): string {
  if (value === undefined) return '-'
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en-US', {
    minimumFractionDigits: Math.min(digits, 3),
    maximumFractionDigits: Math.min(digits, 3),
  })
}

const wordOf = (met: boolean | undefined): string => (met === undefined ? '' : met ? 'yes' : 'no')

export function textTable(results: Results): string {
  const header = ['measure', 'figure', ...results.targets.map(({ name }) => name)]
  const compared = results.targets.length > 1
  if (compared) header.push('ratio', 'goal', 'reached')
  const lines = rowsOf(results).map((row) => {
    const ratio = ratioOf(row)
    const cells = [row.title, row.figure.label, ...row.values.map(format)]
    if (compared) {
      cells.push(ratio === undefined ? '-' : `${format(ratio)}x`)
      cells.push(goalOf(row.figure), wordOf(reached(row)))
    }
    return cells
  })
  const widths = header.map((name, column) =>
    Math.max(name.length, ...lines.map((cells) => cells[column]?.length ?? 0)),
  )
  const show = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  const failed = results.outcomes.flatMap(({ measure, failures }) =>
    failures.flatMap((failure, index) =>
      failure === undefined ? [] : `${measure} on ${results.targets[index]?.name}: ${failure}`,
    ),
  )
  return [show(header), ...lines.map(show), ...failed].join('\n')
}

/** The README's table: one line a measure and figure, with the conditions under it. */
export function markdownTable(results: Results): string {
  const compared = results.targets.length > 1
  const header = ['measure', 'figure', ...results.targets.map(({ label }) => label)]
  if (compared) header.push('ratio', 'goal')
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  let lastTitle = ''
  const lines = rowsOf(results).map((row) => {
    const ratio = ratioOf(row)
    const title = row.title === lastTitle ? '' : row.title
    lastTitle = row.title
    const cells = [title, row.figure.label, ...row.values.map(format)]
    if (compared) {
      const met = reached(row)
      const missed = met === false ? ' (missed)' : ''
      cells.push(ratio === undefined ? '-' : `${format(ratio)}x`, `${goalOf(row.figure)}${missed}`)
    }
    return line(cells)
  })
  const alignment = header.map((_, column) => (column < 2 ? '---' : '---:'))
  return [
    line(header),
    line(alignment),
    ...lines,
    '',
    `Taken ${results.takenAt.slice(0, 10)} on ${results.machine} (load average before: ${results.loadBefore}).`,
    `Load from ${results.load}, on the same machine.`,
    `${results.rounds} ${results.rounds === 1 ? 'round' : 'rounds'} of about ${results.seconds} s each${compared ? `, the two ${results.kind === 'cluster' ? 'clusters' : 'brokers'} in turns` : ''}; medians.`,
    `Flush mode: ${results.flush}.`,
  ].join('\n')
}

/** A page with what stands between its marks of that name replaced. */
export function withBlock(page: string, name: string, block: string): string {
  const [startMark, endMark] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`]
  const from = page.indexOf(startMark)
  const to = page.indexOf(endMark)
  if (from < 0 || to < from) throw new Error(`the page has no ${startMark} ... ${endMark}`)
  return `${page.slice(0, from + startMark.length)}\n${block}\n${page.slice(to)}`
}

/** A page with what stands between its bench marks replaced by the table. */
export function withTable(page: string, results: Results): string {
  const name = results.kind === 'cluster' ? 'bench-cluster' : 'bench'
  return withBlock(page, name, markdownTable(results))
}
