// The user's cache folder for test clients: one folder per tool and definition, made once, used by every clone.
// Several runs may ask for the same tool at once: the first one makes it, the others wait for its lock.
import { createHash } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const lockPatienceMs = 20 * 60_000
const pidPatienceMs = 30_000
const dayMs = 86_400_000

/** Unused folders of a tool (older definitions) are removed after this time. */
const forgottenAfterMs = 30 * dayMs

/** `${XDG_CACHE_HOME:-~/.cache}/lmq` */
export function cacheFolder() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lmq')
}

/** A short, stable name for a tool's definition: versions, sources, platform. */
export function definitionOf(...parts) {
  const hash = createHash('sha256')
  for (const part of [process.platform, process.arch, ...parts]) hash.update(`${part}\0`)
  return hash.digest('hex').slice(0, 12)
}

/**
 * Gives the facts of a tool from the cache, or makes the tool.
 *
 * @param name the tool; part of the folder's name
 * @param definition what `definitionOf` gave
 * @param renewAfterMs age at which the tool is made again to get newer versions; when that fails, the old one serves on
 * @param make fills an empty folder and resolves with the tool's facts (JSON)
 */
export async function cached(name, definition, renewAfterMs, make) {
  const root = cacheFolder()
  mkdirSync(root, { recursive: true })
  const found = newest(root, name, definition)
  if (found && found.ageMs < renewAfterMs) return found.facts
  const unlock = await lock(join(root, `${name}.lock`))
  try {
    const again = newest(root, name, definition)
    if (again && again.ageMs < renewAfterMs) return again.facts
    try {
      return await fill(root, name, definition, make)
    } catch (error) {
      if (again) return again.facts
      throw error
    }
  } finally {
    unlock()
  }
}

async function fill(root, name, definition, make) {
  const folder = join(root, `${name}-${definition}-${Date.now().toString(36)}`)
  mkdirSync(folder)
  try {
    const facts = await make(folder)
    writeFileSync(join(folder, 'ready.part'), JSON.stringify(facts))
    renameSync(join(folder, 'ready.part'), join(folder, 'ready.json'))
    forget(root, name, folder)
    return facts
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** The youngest finished folder of this definition. */
function newest(root, name, definition) {
  let best
  for (const entry of readdirSync(root)) {
    if (!entry.startsWith(`${name}-${definition}-`)) continue
    const ready = join(root, entry, 'ready.json')
    try {
      const ageMs = Date.now() - statSync(ready).mtimeMs
      if (!best || ageMs < best.ageMs) {
        best = { ageMs, facts: JSON.parse(readFileSync(ready, 'utf8')) }
      }
    } catch {
      // Not finished, or removed by another run.
    }
  }
  return best
}

/** Removes what earlier definitions left, and unfinished folders of runs that died. Called under the lock. */
function forget(root, name, keep) {
  for (const entry of readdirSync(root)) {
    const folder = join(root, entry)
    if (!/^-[0-9a-f]{12}-/.test(entry.slice(name.length)) || !entry.startsWith(name)) continue
    if (folder === keep) continue
    const age = Date.now() - statSync(folder).mtimeMs
    if (age > forgottenAfterMs) rmSync(folder, { recursive: true, force: true })
  }
}

/** Waits until this process alone holds the lock. A lock whose process is gone is taken over. */
async function lock(folder) {
  const pidFile = join(folder, 'pid')
  const deadline = Date.now() + lockPatienceMs
  while (Date.now() < deadline) {
    try {
      mkdirSync(folder)
      writeFileSync(pidFile, String(process.pid))
      return () => rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (abandoned(folder, pidFile)) takeOver(folder)
    else await sleep(200)
  }
  throw new Error(
    `${folder} is held by another run for more than ${lockPatienceMs / 60_000} minutes`,
  )
}

function abandoned(folder, pidFile) {
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 0)
    return false
  } catch (error) {
    if (error.code === 'ESRCH') return true
    if (error.code !== 'ENOENT') return false
  }
  try {
    return Date.now() - statSync(folder).mtimeMs > pidPatienceMs
  } catch {
    return false
  }
}

/** Renaming is atomic: of several waiting runs one wins, the others see the folder gone. */
function takeOver(folder) {
  const aside = `${folder}.${process.pid}`
  try {
    renameSync(folder, aside)
    rmSync(aside, { recursive: true, force: true })
  } catch {
    // Another run took it.
  }
}
