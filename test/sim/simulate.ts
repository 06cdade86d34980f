import t, { type Test } from 'tap'
import { createSimIo, type SimWorld } from './sim-io.ts'

/** Seeds in an ordinary run; LMQ_LONG=1 does ten times as many, LMQ_QUICK=1 a tenth, LMQ_SEED=n only that one. */
const usualSeeds = 100

t.setTimeout(0) // the runner limits the file

/**
 * Runs a scenario once per seed, each in a world of its own, inside simulated time. A failure names its seed.
 *
 * @param seeds how many in an ordinary run
 */
export function simulate(
  name: string,
  scenario: (world: SimWorld, t: Test) => Promise<void>,
  seeds = usualSeeds,
): void {
  t.test(name, { timeout: 6 * 3_600_000 }, async (t) => {
    for (const seed of seedsToRun(seeds)) {
      const world = createSimIo(seed)
      try {
        await world.run(() => scenario(world, t))
      } catch (error) {
        t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`)
      }
      if (!t.passing()) {
        t.comment(`first failing seed: ${seed}`)
        return
      }
    }
    t.pass(name)
  })
}

function seedsToRun(seeds: number): number[] {
  const only = process.env['LMQ_SEED']
  if (only) return [Number(only)]
  const factor = process.env['LMQ_LONG'] ? 10 : process.env['LMQ_QUICK'] ? 0.1 : 1
  return Array.from({ length: Math.max(1, Math.round(seeds * factor)) }, (_, index) => index + 1)
}
