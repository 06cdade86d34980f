// Life after life, a seed each, until there are enough or one of them is wrong: the runs of cluster-life and closest-replica.
import type { Test } from 'tap'
import { type Life, type LifeOptions, live, told } from './sim-life.ts'

/** Only this seed is tried, and its story is printed. */
const only = process.env['LMQ_SEED']

export type Many = {
  /** How many seeds a run tries: by LMQ_LONG=1, by LMQ_QUICK=1, else. */
  readonly seeds: { readonly long: number; readonly quick: number; readonly usual: number }
  /** A run that is not long ends after this time, however slow the machine, when `least` seeds were tried. */
  readonly enoughMs: number
  readonly least: number
}

export const isOneSeed = Boolean(only)

/**
 * Lives one seed after the other; the first that failed or showed its clients what must not be fails the test.
 *
 * @returns the lives that were well, and how long they took; nothing when one was not
 */
export async function liveMany(
  t: Test,
  { seeds, enoughMs, least }: Many,
  options: LifeOptions = {},
): Promise<{ lives: readonly Life[]; tookS: number } | undefined> {
  const isLong = Boolean(process.env['LMQ_LONG'])
  const wanted = isLong ? seeds.long : process.env['LMQ_QUICK'] ? seeds.quick : seeds.usual
  const first = only ? Number(only) : 1
  const startMs = Date.now()
  const isEnough = () => !isLong && lives.length >= least && Date.now() - startMs > enoughMs
  const lives: Life[] = []
  for (let seed = first; seed < first + (only ? 1 : wanted) && !isEnough(); seed++) {
    const life = await live(seed, options)
    if (only) t.comment(life.story.join('\n'))
    if (life.failure !== undefined || life.anomalies.length > 0) {
      t.fail(told(life))
      return undefined
    }
    // Tens of thousands of stories are not kept.
    lives.push({ ...life, story: [] })
  }
  return { lives, tookS: (Date.now() - startMs) / 1_000 }
}

/** Adds up a figure of all lives. */
export const totalOf = (lives: readonly Life[], figure: (life: Life) => number): number =>
  lives.reduce((sum, life) => sum + figure(life), 0)
