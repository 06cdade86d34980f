/**
 * How many single letters must be added, dropped, changed or swapped with their neighbour to get from one word to
 * another; anything above `limit` counts as `limit + 1`.
 */
export function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) > limit) return limit + 1
  let before: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let row = 1; row <= from.length; row++) {
    const next = [row]
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1]
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (next[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
      )
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (row > 1 && column > 1 && isSwapped) cost = Math.min(cost, (before[column - 2] ?? 0) + 1)
      next.push(cost)
    }
    if (Math.min(...next) > limit) return limit + 1
    before = last
    last = next
  }
  return Math.min(last[to.length] ?? limit + 1, limit + 1)
}

const bare = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')

/** The known name that somebody who wrote `name` most likely meant: no further than `limit` letters away, or nothing. */
export function nearestName(
  name: string,
  known: readonly string[],
  limit: number,
): string | undefined {
  const plain = bare(name)
  let best: string | undefined
  let least = limit + 1
  for (const candidate of known) {
    if (bare(candidate) === plain) return candidate
    const distance = editDistance(name.toLowerCase(), candidate, limit)
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}
