import fs from 'node:fs'
import path from 'node:path'

/**
 * Does another process hold Java's lock on this file? Kafka locks `.lock` in each of its log folders (FileChannel, which
 * is fcntl's lock), and the file stays when it stops.
 *
 * @returns undefined where the system does not tell: only Linux lists its locks
 */
export function isLockedElsewhere(file: string): boolean | undefined {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  if (!stat) return false
  let locks: string
  try {
    locks = fs.readFileSync('/proc/locks', 'utf8')
  } catch {
    return undefined
  }
  const device = deviceText(stat.dev)
  for (const line of locks.split('\n')) {
    const found = /^\d+: POSIX\s+\S+\s+\S+\s+(\d+)\s+([0-9a-f]+:[0-9a-f]+):(\d+)\s/.exec(line)
    if (!found || Number(found[3]) !== stat.ino) continue
    // Layered file systems show another device here than stat does.
    if (found[2] === device || hasOpen(Number(found[1]), file)) return true
  }
  return false
}

/** As in /proc/locks: major and minor number, hexadecimal, two digits at least. */
function deviceText(device: number): string {
  const major = Math.floor(device / 256) % 4096
  const minor = (device % 256) + Math.floor(device / 2 ** 20) * 256
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':')
}

function hasOpen(pid: number, file: string): boolean {
  const folder = `/proc/${pid}/fd`
  try {
    const real = fs.realpathSync(file)
    return fs.readdirSync(folder).some((name) => linkOf(path.join(folder, name)) === real)
  } catch {
    return false
  }
}

function linkOf(file: string): string | undefined {
  try {
    return fs.readlinkSync(file)
  } catch {
    return undefined
  }
}
