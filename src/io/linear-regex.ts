import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'

/** A compiled regular expression. */
export type LinearRegex = {
  /** Whether the whole text is as the expression says. Takes time in proportion to its length, never more. */
  matches(text: string): boolean
}

let engine: typeof RE2JS | undefined

/**
 * Compiles an expression that a client wrote, in RE2's syntax: without look-around and back references, which is what
 * keeps a hostile one from holding the event loop. The engine is loaded (some 15 ms) when the first one is needed, and
 * in the same turn, so that rules which must not wait can ask.
 *
 * @returns undefined when it is no such expression
 */
export function compileRegex(expression: string): LinearRegex | undefined {
  engine ??= (createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }).RE2JS
  try {
    const compiled = engine.compile(expression)
    return { matches: (text) => compiled.matches(text) }
  } catch {
    return undefined
  }
}
