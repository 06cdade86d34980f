import { EncodedBody } from './handler.ts'

/** More variants than clients of one cluster use at a time. */
const MAX_VARIANTS = 32

/**
 * Answers that name everything, encoded. They hold for one index of the metadata log: with 5,000 partitions an answer
 * costs milliseconds to build, and every client of a large group asks for it at the same time.
 */
export class MetadataCache {
  #index = -2
  readonly #bodies = new Map<string, EncodedBody>()

  /**
   * @param index of the image now
   * @param variant all else that the answer depends on
   * @param build encodes the body; called when there is none for this index
   */
  get(index: number, variant: string, build: () => Buffer): EncodedBody {
    if (index !== this.#index) {
      this.#bodies.clear()
      this.#index = index
    }
    let body = this.#bodies.get(variant)
    if (body === undefined) {
      if (this.#bodies.size >= MAX_VARIANTS) this.#bodies.clear()
      body = new EncodedBody(build())
      this.#bodies.set(variant, body)
    }
    return body
  }
}
