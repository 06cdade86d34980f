// Takes measures on one target, or on two in turns (A B, B A, ...), so that what else the machine does hits both alike.
import type { Figures } from './load.ts'
import type { Measure } from './measures.ts'
import type { Target } from './target.ts'
import { touchMemory } from './touch.ts'

export interface Outcome {
  readonly measure: string
  /** Per target, in the order given: the median of each figure over the rounds. */
  readonly medians: readonly Figures[]
  /** Per target: what each round gave. */
  readonly rounds: readonly (readonly Figures[])[]
  /** Why there are no figures, per target, where there are none. */
  readonly failures: readonly (string | undefined)[]
}

export interface Effort {
  readonly rounds: number
  /** About how long one run of a measure takes. */
  readonly seconds: number
  /** Whether memory is touched before the measures that ask for it. */
  readonly touches?: boolean
}

/** A run of this share of the time goes before the first round and is not counted: JITs and page cache warm up. */
const warmUpShare = 0.5

export async function take<T extends Target>(
  measure: Measure<T>,
  targets: readonly T[],
  effort: Effort,
): Promise<Outcome> {
  const { seconds } = effort
  const rounds = Math.min(effort.rounds, measure.mostRounds ?? effort.rounds)
  const taken: Figures[][] = targets.map(() => [])
  const failures: (string | undefined)[] = targets.map(() => undefined)
  const topics: string[] = targets.map(() => '')
  const attempt = async (index: number, work: (target: T) => Promise<void>): Promise<void> => {
    if (failures[index] !== undefined) return
    try {
      await work(targets[index] as T)
    } catch (error) {
      failures[index] = error instanceof Error ? error.message : String(error)
      process.stderr.write(`${measure.name} on ${targets[index]?.name}: ${failures[index]}\n`)
    }
  }

  for (const index of targets.keys()) {
    await attempt(index, async (target) => {
      topics[index] = (await measure.prepare?.(target, seconds)) ?? ''
      if (measure.warmUp === false) return
      // A measure with a prepared topic reads all of it, so its warm-up cannot be shorter.
      const share = measure.prepare ? 1 : warmUpShare
      await measure.run(target, seconds * share, topics[index] ?? '')
    })
  }
  for (let round = 0; round < rounds; round++) {
    const order = [...targets.keys()]
    if (round % 2 === 1) order.reverse()
    for (const index of order) {
      await attempt(index, async (target) => {
        const writtenGb = (measure.writesGbPerSecond ?? 0) * seconds
        if (effort.touches && writtenGb > 0) await touchMemory(writtenGb)
        const figures = await measure.run(target, seconds, topics[index] ?? '')
        taken[index]?.push(figures)
      })
    }
  }
  for (const [index, target] of targets.entries()) {
    if (topics[index]) await measure.clean?.(target, topics[index]).catch(() => {})
  }
  return { measure: measure.name, medians: taken.map(mediansOf), rounds: taken, failures }
}

function mediansOf(rounds: readonly Figures[]): Figures {
  const medians: Figures = {}
  for (const key of Object.keys(rounds[0] ?? {})) {
    medians[key] = median(rounds.map((figures) => figures[key] ?? 0))
  }
  return medians
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}
