/**
 * Stops the program on a bug. Never used for what a client, a disk or a peer can cause: that is an `LmqError` or an
 * outcome. Asserts stay on in production: a broker whose state is impossible must not go on serving it.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** @throws {AssertionError} when `condition` does not hold */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** For the branch that types say cannot be reached. */
export function unreachable(value: never, message: string): never {
  throw new AssertionError(`${message}: ${String(value)}`)
}
