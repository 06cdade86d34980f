import fs from 'node:fs'
import { isIP } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { LmqError } from '../base/errors.ts'

/** What a broker's entry needs to know of the machine and the process it runs in. */
export const nodeHost = {
  /** The machine's name, as clients on the same network would resolve it. */
  hostName: (): string => os.hostname(),
  /** Whether this machine knows an address of that name; addresses are their own. */
  async resolves(name: string): Promise<boolean> {
    if (isIP(name) !== 0 || name === 'localhost') return true
    // Most starts never ask.
    const { lookup } = await import('node:dns/promises')
    return lookup(name).then(
      () => true,
      () => false,
    )
  },
  environment: (): Readonly<Record<string, string | undefined>> => process.env,
  /** Relative paths are taken from the working folder. */
  absolutePath: (text: string): string => path.resolve(text),
  /** Makes a new, empty folder that nobody else has. */
  makeTemporaryFolder: (prefix: string): string =>
    fs.mkdtempSync(path.join(os.tmpdir(), `${prefix}-`)),
  /** Of the machine's run, where the system tells it: the page cache survives as long. */
  bootId(): string | null {
    try {
      return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    } catch {
      return null
    }
  },
  /** The same for all processes of the machine, also those in containers of their own where the system tells it. */
  machineId(): string {
    return this.bootId() ?? os.hostname()
  },
  /** @throws LMQ_CONFIG_INVALID when the file cannot be read */
  readSettingsFile(file: string): string {
    try {
      return fs.readFileSync(file, 'utf8')
    } catch (error) {
      throw new LmqError('LMQ_CONFIG_INVALID', { file, reason: 'the file cannot be read' }, error)
    }
  },
}
