/** Node's cache of compiled code: the second start need not parse and compile what the first one did. */
import { mkdirSync } from 'node:fs'
import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** A broker that is killed later has told what it compiled by then. */
const TOLD_AFTER_MS = 20_000

type CompileCache = {
  enableCompileCache?(folder: string): unknown
  flushCompileCache?(): void
}

/**
 * To be called before anything large is loaded. Node 22 and later can do it; before that, with a home that cannot be
 * written, or with Node's own NODE_COMPILE_CACHE or NODE_DISABLE_COMPILE_CACHE, nothing changes. Node writes at exit.
 */
export function keepCompiledCode(): void {
  const cache: typeof module & CompileCache = module
  const { XDG_CACHE_HOME, NODE_COMPILE_CACHE, NODE_DISABLE_COMPILE_CACHE } = process.env
  if (!cache.enableCompileCache || NODE_COMPILE_CACHE || NODE_DISABLE_COMPILE_CACHE) return
  try {
    const folder = join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'lmq', 'compiled-code')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    cache.enableCompileCache(folder)
  } catch {
    // Without a home there is no cache.
  }
  setTimeout(() => cache.flushCompileCache?.(), TOLD_AFTER_MS).unref()
}
