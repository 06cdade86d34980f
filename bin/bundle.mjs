/**
 * Joins the compiled command line into few files: loading some 250 small modules one by one costs more than all else
 * that happens until the Kafka port is open. Runs after tsc; packages stay outside, what is loaded lazily stays lazy.
 */
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const dist = new URL('../dist/', import.meta.url)
const at = (path) => fileURLToPath(new URL(path, dist))

await rm(at('bin/chunks/'), { recursive: true, force: true })
await build({
  entryPoints: {
    lmq: at('bin/lmq.js'),
    // Modules that a worker thread loads by their place beside the caller.
    'chunks/job-worker': at('src/io/job-worker.js'),
    'chunks/compaction-job': at('src/log/compaction-job.js'),
  },
  outdir: at('bin'),
  allowOverwrite: true,
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.11',
  packages: 'external',
  logLevel: 'warning',
})
