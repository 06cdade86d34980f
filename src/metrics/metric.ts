/** One metric as it is shown: read when somebody asks, from the plain fields that hot paths count in. */
export type Metric = {
  /** Lower case; ends in its unit. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'summary' | 'histogram'
  /** Called at every scrape. */
  read(): Iterable<Sample>
}

export type Labels = Readonly<Record<string, string | number>>

export type Sample = {
  readonly value: number
  readonly labels: Labels
  /** Where it differs from the metric's name: `_count`, `_sum`, `_bucket`. */
  readonly suffix?: string
}

const noLabels: Labels = {}

/** A gauge or counter of one number. */
export function single(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  read: () => number,
): Metric {
  return { name, help, type, read: () => [{ value: read(), labels: noLabels }] }
}

/** A gauge or counter of several numbers that a label tells apart. */
export function labelled(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  read: () => Iterable<readonly [Labels, number]>,
): Metric {
  return {
    name,
    help,
    type,
    *read() {
      for (const [labels, value] of read()) yield { labels, value }
    },
  }
}
