// Programs of this machine: where they are, running them, and installing Debian's where that is allowed.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { environmentOf, makeTemporaryFolder, removeFolder } from './temporary-folder.mjs'

/** @returns the program's path, or undefined when no folder of PATH has it */
export function onPath(program) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program)
    if (folder !== '' && existsSync(path)) return path
  }
  return undefined
}

let temporary

/** The environment of programs that obtain something: what they leave behind when they are ended goes with this process. */
export function environment() {
  if (temporary === undefined) {
    temporary = makeTemporaryFolder()
    process.on('exit', () => removeFolder(temporary))
  }
  return { ...process.env, ...environmentOf(temporary) }
}

/** Runs a program to its end. Rejects with its last lines when it fails or takes longer than ten minutes. */
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 600_000,
      killSignal: 'SIGKILL',
      env: environment(),
      ...options,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) return resolve({ stdout, stderr })
      const last = `${stdout}\n${stderr}`.trim().split('\n').slice(-8).join('\n    ')
      const line = [program, ...args].join(' ')
      reject(new Error(`${line} ended with ${signal ?? code}:\n    ${last}`))
    })
  })
}

/** Whether Debian packages can be installed here. */
export const mayInstallDebian = () => Boolean(onPath('apt-get')) && process.getuid?.() === 0

let installing = Promise.resolve()

/** @param names packages; the lists are brought up to date only when the packages are not found without */
export function installDebian(...names) {
  const done = installing.then(() => aptInstall(names))
  installing = done.catch(() => {}) // one at a time: the next does not mind how this one went
  return done
}

async function aptInstall(names) {
  const lockWait = ['-o', 'DPkg::Lock::Timeout=180']
  // In the system's temporary folder: apt works in it as a user who may not enter ours.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '-y', '-q', '--no-install-recommends', ...lockWait, ...names]
  try {
    await run('apt-get', install, { env })
  } catch {
    await run('apt-get', ['update', '-q', ...lockWait], { env })
    await run('apt-get', install, { env })
  }
}
