/** Version ranges as Kafka's protocol writes them: '3', '3-12', '3+', 'none'. Both ends inclusive. */
export type VersionRange = { readonly min: number; readonly max: number }

const NEVER: VersionRange = { min: 1, max: 0 }

/** @param text a range in the protocol's notation; @param last where an open range ends */
export function parseVersions(text: string, last = 32767): VersionRange {
  if (text === 'none') return NEVER
  const open = /^(\d+)\+$/.exec(text)
  if (open) return { min: Number(open[1]), max: last }
  const closed = /^(\d+)(?:-(\d+))?$/.exec(text)
  if (!closed) throw new TypeError(`not a version range: ${text}`)
  return { min: Number(closed[1]), max: Number(closed[2] ?? closed[1]) }
}

export function inRange(range: VersionRange, version: number): boolean {
  return version >= range.min && version <= range.max
}
