import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Writes and removes a file, so that the machine has given real memory to the page cache before anything counts. */
export async function touchMemory(gigabytes: number): Promise<void> {
  const path = join(tmpdir(), `lmq-bench-touch-${process.pid}`)
  const chunk = Buffer.alloc(1 << 24)
  const file = await open(path, 'w')
  try {
    for (let written = 0; written < gigabytes * 2 ** 30; written += chunk.length) {
      await file.write(chunk)
    }
  } finally {
    await file.close()
    await rm(path)
  }
}
