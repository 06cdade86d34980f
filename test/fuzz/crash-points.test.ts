// Goal: whichever byte of a data folder a crash or a bad disk took, nothing that was acknowledged before that place is
// lost, and nothing damaged is served. Method: a folder on a simulated disk, as kill -9 left it and as an orderly stop left
// it, with logs of several segments, epochs, producers, transactions, gaps from compaction, a moved log start, and a
// metadata log with snapshots. Each file is cut at every byte and has every bit flipped, one at a time; a run takes an even
// sample of all these places: 2,000, with LMQ_LONG=1 all of them (some 59,000). LMQ_PLACE=n takes only that one.
import t, { type Test } from 'tap'
import { damageFolder, type FolderPlace } from './damaged-folder.ts'
import { damageMetadata, type MetadataPlace } from './damaged-metadata.ts'

const wanted = process.env['LMQ_LONG'] === '1' ? Number.POSITIVE_INFINITY : 2_000
/** Failures that are told in full. */
const shown = 20
/** Of all places, those in the metadata log. */
const metadataShare = 0.15

/** So many of `count` numbers, evenly spread, and never twice the same in a row of runs of other sizes. */
function sample(count: number, size: number): number[] {
  const only = process.env['LMQ_PLACE']
  if (only !== undefined) return [Number(only)]
  if (size >= count) return Array.from({ length: count }, (_, at) => at)
  return Array.from({ length: size }, (_, at) => Math.floor((at * count) / size))
}

type Place = FolderPlace | MetadataPlace
type Failure = { readonly place: string; readonly why: string }

async function tryAll(
  t: Test,
  places: readonly Place[],
  size: number,
  check: (place: Place) => Promise<string | undefined>,
): Promise<void> {
  const failures: Failure[] = []
  const chosen = sample(places.length, size)
  for (const number of chosen) {
    const place = places[number]
    if (!place) continue
    const why = await check(place).catch((error: unknown) =>
      error instanceof Error ? (error.stack ?? error.message) : String(error),
    )
    if (why !== undefined) failures.push({ place: `${number}: ${place.name}`, why })
  }
  t.comment(`${chosen.length} of ${places.length} places, ${failures.length} failures`)
  t.same(failures.slice(0, shown), [], `${chosen.length} places of ${places.length}`)
}

t.setTimeout(0) // the runner limits the file

for (const stop of ['kill -9', 'an orderly stop'] as const) {
  t.test(`a data folder after ${stop}`, { timeout: 0 }, async (t) => {
    const { places, check } = await damageFolder(stop === 'kill -9')
    const size = Math.round((wanted * (1 - metadataShare)) / 2)
    await tryAll(t, places, size, (place) => check(place as FolderPlace))
  })
}

t.test('a metadata log', { timeout: 0 }, async (t) => {
  const { places, check } = await damageMetadata()
  await tryAll(t, places, Math.round(wanted * metadataShare), (place) =>
    check(place as MetadataPlace),
  )
})
