// The figures of many partitions and connections as a table, and as a chart for the README.
import { type Line, type Panel, svgOf } from './chart.ts'
import type { ConnectionPoint, ManyResults, PartitionPoint } from './many.ts'
import { format } from './report.ts'

/** How much dearer a record may be with many partitions or connections than with few. */
const flatWithin = 1.2

/** Where the chart lies, from the repository's root. */
export const chartPath = 'bench/many.svg'

/** KB that each further partition or connection takes, by the first and the last point. */
export function kbEach(points: readonly (readonly [count: number, residentMB: number])[]): number {
  const [firstCount, firstMB] = points[0] ?? [0, 0]
  const [lastCount, lastMB] = points.at(-1) ?? [0, 0]
  return lastCount === firstCount ? 0 : ((lastMB - firstMB) * 1024) / (lastCount - firstCount)
}

export function manyMarkdown(results: ManyResults): string {
  const { partitions, connections } = results
  const byCount = [...partitions].sort((a, b) => a.partitions - b.partitions)
  const [fewest] = byCount
  const [fewestConnections] = connections
  const partitionRows = byCount.map((point) =>
    row([
      `${count(point.partitions)} in ${count(point.topics)}`,
      format(point.createMs),
      `${format(point.startMs)} (${format(point.startCpuMs)})`,
      format(point.stopMs),
      `${format(point.metadataMs)} (${format(point.metadataBytes / 1e3)})`,
      format(point.residentMB),
      flatness(point.cpuPerMillion, fewest?.cpuPerMillion),
      ratio(point.cpuPerMillionSpread, fewest?.cpuPerMillionSpread),
      count(point.openFiles),
    ]),
  )
  const connectionRows = connections.map((point) =>
    row([
      count(point.connections),
      format(point.openMs),
      format(point.residentMB),
      flatness(point.cpuPerMillion, fewestConnections?.cpuPerMillion),
    ]),
  )
  return [
    `![memory and CPU by partitions and connections](${chartPath})`,
    '',
    row([
      'partitions in topics',
      'created, ms',
      'started, ms (CPU ms)',
      'stopped, ms',
      'all metadata, ms (KB)',
      'MB idle',
      'CPU s/M records, 8 of them',
      'all in turn',
      'open files',
    ]),
    row(['---', ...Array.from({ length: 8 }, () => '---:')]),
    ...partitionRows,
    '',
    row(['connections', 'opened, ms', 'MB', 'CPU s/M records']),
    row(['---', '---:', '---:', '---:']),
    ...connectionRows,
    '',
    `A partition takes ${format(kbEach(memoryOf(byCount)))} KB, a connection ${format(kbEach(memoryOfConnections(connections)))} KB.`,
    `Taken ${results.takenAt.slice(0, 10)}: ${results.label}, ${results.disk}, ${results.machine} (load average before: ${results.loadBefore}).`,
    'One record a request, eight senders; in brackets what it costs compared with the first row (goal: at most 1.20x).',
    'Each partition was written to, the broker stopped and started again before its memory was looked at; first requests are not counted.',
  ].join('\n')
}

const memoryOf = (points: readonly PartitionPoint[]) =>
  points.map(({ partitions, residentMB }) => [partitions, residentMB] as const)
const memoryOfConnections = (points: readonly ConnectionPoint[]) =>
  points.map(({ connections, residentMB }) => [connections, residentMB] as const)

const count = (value: number): string => value.toLocaleString('en-US')
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

function ratio(value: number, base: number | undefined): string {
  return base ? `${format(value)} (${(value / base).toFixed(2)}x)` : format(value)
}

function flatness(value: number, base: number | undefined): string {
  const isMissed = base !== undefined && base > 0 && value / base > flatWithin
  return `${ratio(value, base)}${isMissed ? ' (missed)' : ''}`
}

export function manyChart({ partitions, connections }: ManyResults): string {
  const byCount = [...partitions].sort((a, b) => a.partitions - b.partitions)
  const line = (name: string, pick: (point: PartitionPoint) => number): Line => ({
    name,
    points: byCount.map((point) => [point.partitions, pick(point)] as const),
  })
  const ofConnections = (name: string, pick: (point: ConnectionPoint) => number): Line => ({
    name,
    points: connections.map((point) => [point.connections, pick(point)] as const),
  })
  const panels: Panel[] = [
    { title: 'MB idle, by partitions', lines: [line('', ({ residentMB }) => residentMB)] },
    {
      title: 'CPU s per million records, by partitions',
      lines: [
        line('to 8 partitions', ({ cpuPerMillion }) => cpuPerMillion),
        line('to all in turn', ({ cpuPerMillionSpread }) => cpuPerMillionSpread),
      ],
    },
    { title: 'MB, by connections', lines: [ofConnections('', ({ residentMB }) => residentMB)] },
    {
      title: 'CPU s per million records, by connections',
      lines: [ofConnections('', ({ cpuPerMillion }) => cpuPerMillion)],
    },
    { title: 'start, ms, by partitions', lines: [line('', ({ startMs }) => startMs)] },
    {
      title: 'all metadata, ms, by partitions',
      lines: [line('', ({ metadataMs }) => metadataMs)],
    },
  ]
  return svgOf(panels)
}
