import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../../tools/repository-root.ts'

/**
 * yes: shown by a test of this run. no: the test failed. none: the client has no such call. limit: the client has one, and
 * fails with Apache Kafka, too (client-limits.ts).
 */
export type Mark = 'yes' | 'no' | 'none' | 'limit'

/** What one client showed in this run: one file for each test file, from which test/tools/matrix.mjs makes the README's table. */
export class MatrixNotes {
  readonly client: string
  readonly #version: string
  readonly #marks = new Map<string, Mark>()

  constructor(client: string, version: string) {
    this.client = client
    this.#version = version
  }

  /** A feature that several tests show has the worst of their marks. */
  note(feature: string, mark: Mark): void {
    if (this.#marks.get(feature) === 'no') return
    if ((mark === 'none' || mark === 'limit') && this.#marks.has(feature)) return
    this.#marks.set(feature, mark)
  }

  /**
   * Nothing is noted of a broker that is not LMQ.
   *
   * @param file names the test file; runs of other files do not touch its notes
   */
  write(file: string): void {
    if (process.env['LMQ_TEST_BOOTSTRAP']) return
    const results =
      process.env['LMQ_TEST_RESULTS'] ?? join(repositoryRoot(import.meta.url), 'test-results')
    const folder = join(results, 'matrix')
    mkdirSync(folder, { recursive: true })
    const features = Object.fromEntries(this.#marks)
    const notes = { client: this.client, version: this.#version, features }
    writeFileSync(join(folder, `${file}.json`), JSON.stringify(notes, null, 2))
  }
}
