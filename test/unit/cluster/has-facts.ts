/** Assertions on some fields of an object, each of them whole: `t.match` takes the beginning of a list for the list. */

type Asserting = { same(found: unknown, wanted: unknown, ...message: [] | [string]): unknown }

/** The fields of `wanted` are in `found`, and equal. */
export function hasFacts<Found extends object>(
  t: Asserting,
  found: Found | undefined,
  wanted: Partial<Found>,
  ...message: [] | [string]
): void {
  const names = Object.keys(wanted) as (keyof Found)[]
  const facts = found && Object.fromEntries(names.map((name) => [name, found[name]]))
  t.same(facts, wanted, ...message)
}
