// Runs one compiled test file in a process of its own and counts its tests.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { basename, join } from 'node:path'
import { Parser } from 'tap-parser'
import { endMark, naturalEndArg } from './natural-end.mjs'
import {
  environmentOf,
  makeTemporaryFolder,
  ownLeftovers,
  removeFolder,
} from './temporary-folder.mjs'

/** Output kept for the report of a failed file; the .tap file has all of it. */
const keptStderrBytes = 20_000
const graceMs = 5_000

/** The folders of files that run now, by process: whoever is stopped takes them along. */
const running = new Map()
process.on('exit', () => {
  for (const [pid, folders] of running) {
    killGroup(pid, 'SIGKILL')
    folders.forEach(removeFolder)
  }
})

/**
 * A test is a `t.test` that makes assertions itself (or the top of a file that does): it passes when all of them hold.
 * The file has a temporary folder of its own, and fails when it ended and left something of ours there, when it was ended
 * before it came to its end, and when it held no test at all.
 *
 * @returns `{ passed, failed, skipped, failures, skips, elapsedMs }`; failures are texts ready to print
 */
export async function runFile({ node, file, cwd, env, limitMs, tapPath, nodeArgs = [] }) {
  const startedAt = performance.now()
  const tests = new Map()
  const failures = []
  const skips = []
  const parser = new Parser()
  parser.on('result', (result) => {
    const own = `${result.fullname} > `
    const test = tests.has(own) ? own : testOf(result)
    const known = tests.get(own) === false
    if (result.skip || result.todo) {
      skips.push(`${result.fullname}: ${result.skip || result.todo}`)
      return
    }
    tests.set(test, (tests.get(test) ?? true) && result.ok)
    if (!result.ok && !known) failures.push(failureText(result))
  })
  let cameToItsEnd = false
  parser.on('comment', (comment) => {
    if (comment.trim() === endMark) cameToItsEnd = true
  })
  const exit = await tapOf({ node, file, cwd, env, limitMs, tapPath, nodeArgs, parser })
  if (exit.fault) failures.push(`${exit.fault}\n${exit.stderr}`)
  else if (failures.length === 0 && (exit.code !== 0 || !parser.ok)) {
    failures.push(`ended with ${exit.signal ?? exit.code}\n${exit.stderr}`)
  } else if (failures.length === 0 && !cameToItsEnd) {
    failures.push(`ended from inside before it came to its end\n${exit.stderr}`)
  } else if (failures.length === 0 && tests.size === 0 && skips.length === 0) {
    failures.push('no test in it')
  } else if (failures.length > 0 && exit.stderr !== '') {
    failures.push(`standard error:\n${exit.stderr}`)
  } else if (failures.length === 0 && exit.left.length > 0) {
    failures.push(`left in the temporary folder: ${exit.left.join(', ')}`)
  }
  const passed = [...tests.values()].filter(Boolean).length
  let failed = tests.size - passed
  if (failures.length > 0 && failed === 0) failed = 1
  const elapsedMs = Math.round(performance.now() - startedAt)
  return { passed, failed, skipped: skips.length, failures, skips, elapsedMs }
}

/** Adds up what `runFile` gave. */
export function countsOf(results) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const result of results) {
    counts.passed += result.passed
    counts.failed += result.failed
    counts.skipped += result.skipped
  }
  return counts
}

function testOf(result) {
  const { fullname, name } = result
  return fullname.endsWith(name) ? fullname.slice(0, fullname.length - name.length) : fullname
}

function failureText(result) {
  const diagnosis = result.diag ? `\n${JSON.stringify(result.diag, null, 2)}` : ''
  return `${result.fullname}${diagnosis}`
}

function tapOf({ node, file, cwd, env, limitMs, tapPath, nodeArgs, parser }) {
  return new Promise((resolve) => {
    const temporary = makeTemporaryFolder()
    // A file whose data is to lie in memory makes this one itself.
    const inMemory = join('/dev/shm', basename(temporary))
    const folders = [temporary, inMemory]
    const child = spawn(node, [naturalEndArg, ...nodeArgs, file], {
      cwd,
      env: { ...env, ...environmentOf(temporary), LMQ_TEST_MEMORY: inMemory },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    if (child.pid !== undefined) running.set(child.pid, folders)
    const tap = createWriteStream(tapPath)
    let stderr = ''
    let fault
    child.stdout.on('data', (chunk) => tap.write(chunk))
    child.stdout.on('data', (chunk) => parser.write(chunk))
    child.stderr.on('data', (chunk) => {
      stderr = `${stderr}${chunk}`.slice(-keptStderrBytes)
    })
    const limit = setTimeout(() => {
      fault = `took longer than ${limitMs / 1000} s and was killed`
      killGroup(child.pid, 'SIGTERM')
      setTimeout(() => killGroup(child.pid, 'SIGKILL'), graceMs).unref()
    }, limitMs)
    child.on('error', (error) => {
      fault = error.message
    })
    child.on('close', (code, signal) => {
      clearTimeout(limit)
      killGroup(child.pid, 'SIGKILL')
      running.delete(child.pid)
      const left = folders.flatMap(ownLeftovers)
      folders.forEach(removeFolder)
      parser.on('complete', () => tap.end(() => resolve({ code, signal, stderr, fault, left })))
      parser.end()
    })
  })
}

/** Ends the file's process and whatever it left running. */
function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal)
  } catch {
    // Gone already.
  }
}
