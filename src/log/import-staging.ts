import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Disk } from '../io/io.ts'

/** In a data folder: what an import gathers until all of it is there. No name in it is taken for a partition's. */
export const importFolder = 'lmq-import'
/** In that folder: what is being imported, and how far it is. */
export const importJournalFile = 'journal.json'

/** How far an import came. `copying` may be thrown away; from `switching` on it must be finished. */
export type ImportState = 'copying' | 'switching'

/**
 * A broker must not start between the two halves of an import: it would take logs for strays whose topics come last.
 *
 * @throws LMQ_IMPORT_UNFINISHED
 */
export function checkNoImport(disk: Disk, dir: string): void {
  const path = join(dir, importFolder, importJournalFile)
  if (!disk.existsSync(path)) return
  let state: unknown
  try {
    state = (JSON.parse(disk.readFileSync(path).toString('utf8')) as { state?: unknown }).state
  } catch {
    state = 'switching'
  }
  if (state !== 'copying') throw new LmqError('LMQ_IMPORT_UNFINISHED', { dir })
}
