// Looks for planted bugs with the simulated cluster, and writes PLANTED.md.
//
//   node --import tsx test/sim/planted-hunt.ts [--seeds=2000] [--seconds=120] [--new] [--table] [PART OF A NAME...]
//
// --seconds bounds the time for one bug. --new leaves out what the last hunt found. --table hunts nothing and only writes
// the table.
import { writeFileSync } from 'node:fs'
import { plantedBugs } from './planted.ts'
import type { PlantedBug } from './planted-code.ts'
import { type Hunt, huntedFile, readHunted, tableFile, tableText } from './planted-table.ts'
import { live } from './sim-life.ts'
import type { Profile } from './sim-nemesis.ts'

const SHORT = 110

/**
 * Lives under a bug until something is found that is not there without it.
 *
 * @param firstSeed tried before 1, 2, ...: the one that showed it last time
 */
export async function hunt(
  { profile, plant }: PlantedBug,
  seeds: number,
  withinMs: number,
  firstSeed?: number | null,
): Promise<Hunt> {
  const startMs = Date.now()
  let tried = 0
  const order = Array.from({ length: seeds }, (_, at) => at + 1)
  if (typeof firstSeed === 'number') order.unshift(firstSeed)
  for (const seed of order) {
    if (tried > 0 && Date.now() - startMs > withinMs) break
    tried++
    const takeOut = plant()
    const by = await foundIn(seed, profile).finally(takeOut)
    if (by === undefined || (await foundIn(seed, profile)) !== undefined) continue
    return { seed, tried, by: by.replace(/^Error: /, '').slice(0, SHORT) }
  }
  return { seed: null, tried, by: '' }
}

async function foundIn(seed: number, profile: Profile): Promise<string | undefined> {
  const { failure, anomalies } = await live(seed, { profile })
  const [anomaly] = anomalies
  return failure?.split('\n')[0] ?? (anomaly && `${anomaly.kind}: ${anomaly.what}`)
}

async function main(args: readonly string[]): Promise<void> {
  const option = (name: string, usual: number) =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? usual)
  const parts = args.filter((arg) => !arg.startsWith('--'))
  for (const bug of plantedBugs) {
    const before = readHunted()[bug.name]
    if (args.includes('--table')) break
    if (parts.length > 0 && !parts.some((part) => bug.name.includes(part))) continue
    if (args.includes('--new') && typeof before?.seed === 'number') continue
    const found = await hunt(
      bug,
      option('seeds', 2_000),
      option('seconds', 120) * 1_000,
      before?.seed,
    )
    console.log(`${bug.name}: ${found.seed ?? 'not found'} (${found.tried} tried) ${found.by}`)
    const names = plantedBugs.map(({ name }) => name)
    const all = Object.entries({ ...readHunted(), [bug.name]: found })
    const kept = all.filter(([name]) => names.includes(name))
    writeFileSync(huntedFile, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`)
    writeFileSync(tableFile, tableText(readHunted()))
  }
  writeFileSync(tableFile, tableText(readHunted()))
}

if (process.argv[1]?.endsWith('planted-hunt.ts')) await main(process.argv.slice(2))
