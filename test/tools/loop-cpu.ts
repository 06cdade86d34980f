import { readFileSync } from 'node:fs'

/** Processor time of this process's first thread, where the event loop runs. Linux tells it; elsewhere undefined. */
export function loopCpuMs(): number | undefined {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[0]) / 1e6
  } catch {
    return undefined
  }
}
