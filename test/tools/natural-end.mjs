// Loaded in front of a test file (`node --import=...`): says so when nothing was left to do. A file that is ended from inside,
// as by process.exit(0) between two tests, has reported nothing but tests that passed; without the mark it counts as failed.
import { isMainThread } from 'node:worker_threads'

/** A comment of TAP, on a line of its own. */
export const endMark = '# nothing is left to do'

/** What Node.js is to be told. */
export const naturalEndArg = `--import=${import.meta.url}`

/** Also the runner imports this file, and processes that a test file forks would get its arguments. */
const at = process.execArgv.indexOf(naturalEndArg)
if (at >= 0 && isMainThread) {
  process.execArgv.splice(at, 1)
  let isNatural = false
  process.on('beforeExit', () => {
    isNatural = true
  })
  process.on('exit', () => {
    if (isNatural) process.stdout.write(`\n${endMark}\n`)
  })
}
