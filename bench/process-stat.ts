// What /proc tells about a broker's process: its CPU time, its memory, and which process listens on a port. Linux only;
// elsewhere the figures are absent.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** USER_HZ: 100 on every Linux that Node runs on. */
const clockTicksPerSecond = 100

/** The processes of what is measured; undefined: not known, or on another machine. */
export type Pids = number | readonly number[] | undefined

/** CPU time used so far by all of them, user and system, in seconds; undefined when it cannot be read. */
export function cpuSecondsOf(pids: Pids): number | undefined {
  if (typeof pids !== 'object') return cpuSecondsOfOne(pids)
  let sum = 0
  for (const pid of pids) {
    const seconds = cpuSecondsOfOne(pid)
    if (seconds === undefined) return undefined
    sum += seconds
  }
  return sum
}

function cpuSecondsOfOne(pid: number | undefined): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The program's name stands in brackets and may hold spaces: count the fields from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond
  } catch {
    return undefined
  }
}

/** Resident memory in MB (2^20 bytes); undefined when it cannot be read. */
export function residentMbOf(pid: number | undefined): number | undefined {
  try {
    const line = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return line ? Number(line[1]) / 1024 : undefined
  } catch {
    return undefined
  }
}

/** How many files and sockets a process has open; undefined when it cannot be read. */
export function openFilesOf(pid: number | undefined): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return undefined
  }
}

/** How many files and sockets this process, and what it starts, may have open; undefined when it cannot be read. */
export function openFilesLimit(): number | undefined {
  try {
    // Node raises its own soft limit to the hard one; what it starts inherits that.
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    return line ? Number(line[1]) : undefined
  } catch {
    return undefined
  }
}

/** The process that listens on a TCP port of this machine; undefined when there is none or it is not ours to see. */
export function listenerPid(port: number): number | undefined {
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readLines(table).slice(1)) {
      const fields = line.trim().split(/\s+/)
      const localPort = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
      const listening = fields[3] === '0A'
      if (listening && localPort === port && fields[9]) inodes.add(`socket:[${fields[9]}]`)
    }
  }
  if (inodes.size === 0) return undefined
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name) && hasOpen(name, inodes)) return Number(name)
  }
  return undefined
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').trim().split('\n')
  } catch {
    return []
  }
}

function hasOpen(pid: string, targets: ReadonlySet<string>): boolean {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).some((fd) => {
      try {
        return targets.has(readlinkSync(`${folder}/${fd}`))
      } catch {
        return false
      }
    })
  } catch {
    return false
  }
}
