// Folders for what programs leave in the system's temporary folder: each is gone with what it was made for.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// A signal ends this process in order, so that whoever wants to take something along is asked.
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => process.exit(code))
}

/** With a short name: sockets lie below it, whose paths have a limit. */
export function makeTemporaryFolder() {
  return mkdtempSync(join(tmpdir(), 'lmq-run-'))
}

/** The variables by which programs find their temporary folder, on all systems. */
export function environmentOf(folder) {
  return { TMPDIR: folder, TMP: folder, TEMP: folder }
}

/**
 * What tests made and did not remove. The lock of a broker that was killed is no fault: where paths are long it lies here
 * instead of in the broker's folder.
 */
export function ownLeftovers(folder) {
  const isOurs = (entry) => entry.name.startsWith('lmq-') && !entry.isSocket()
  return entriesOf(folder)
    .filter(isOurs)
    .map(({ name }) => name)
}

function entriesOf(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}

/** Never throws. */
export function removeFolder(folder) {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 100 })
  } catch {
    // Something that is being killed still writes there; the system clears its folder some time.
  }
}
