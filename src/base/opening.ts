/** What was opened so far, to be closed again when something later fails. */
export class Opening {
  readonly #undo: (() => unknown)[] = []

  add(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  async undo(): Promise<void> {
    for (const undo of this.#undo.reverse()) {
      try {
        await undo()
      } catch {
        // The first failure is the one to tell.
      }
    }
  }
}
