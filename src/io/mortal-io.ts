/**
 * An `Io` that can end as a process does that is killed: sockets and ports are gone at once, nothing of what was still
 * to run runs, and nothing more reaches the disk. What was written stays. For several brokers in one process, of which
 * one is to die.
 */
import type { Io, Net, Socket, Timers } from './io.ts'

export type MortalIo = {
  readonly io: Io
  /** Resolves when the disk is left alone and every file is closed. */
  die(): Promise<void>
}

const never = new Promise<never>(() => {})

class Life {
  alive = true
  readonly sockets = new Set<Socket>()
  readonly servers = new Set<{ close(): Promise<void> }>()
  /** Closes what is open: files and locks. */
  readonly leftovers = new Set<() => Promise<void> | void>()
  readonly #underWay = new Set<Promise<unknown>>()

  /** Settles as `work` does while there is life. */
  guard<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => {},
      () => {},
    )
    this.#underWay.add(settled)
    void settled.then(() => this.#underWay.delete(settled))
    return work.then(
      (value) => (this.alive ? value : never),
      (error: unknown) => {
        if (this.alive) throw error
        return never
      },
    )
  }

  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }
}

/** Every method of `target`, for as long as there is life; what it returns goes through `wrap`. */
function mortal<T extends object>(
  life: Life,
  target: T,
  wrap: (name: string, result: unknown) => unknown,
): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      return (...args: unknown[]) => {
        if (!life.alive) {
          if (name.endsWith('Sync')) throw new Error('this process was killed')
          return never
        }
        const result: unknown = value.apply(object, args)
        if (!(result instanceof Promise)) return wrap(name, result)
        return life.guard(result.then((found: unknown) => wrap(name, found)))
      }
    },
  })
}

/** @param inner is used up: nobody else may use it */
export function createMortalIo(inner: Io): MortalIo {
  const life = new Life()
  const files = (name: string, result: unknown): unknown => {
    if (name === 'open' || name === 'openSync') return mortalFile(life, result as object)
    if (name === 'lockFolder') return mortalLock(life, result as { release(): Promise<void> })
    return result
  }
  const io: Io = {
    ...inner,
    timers: mortalTimers(life, inner.timers),
    disk: mortal(life, inner.disk, files),
    net: mortalNet(life, inner.net),
  }
  const die = async (): Promise<void> => {
    if (!life.alive) return
    life.alive = false
    for (const server of life.servers) void server.close()
    for (const socket of life.sockets) socket.destroy()
    life.sockets.clear()
    await life.settled()
    for (const leave of life.leftovers) await leave()
    await inner.jobs.close()
  }
  return { io, die }
}

function mortalTimers(life: Life, inner: Timers): Timers {
  const whileAlive = (task: () => void) => () => {
    if (life.alive) task()
  }
  return {
    schedule: (delayMs, task, keepsAlive) => inner.schedule(delayMs, whileAlive(task), keepsAlive),
    endOfTurn: (task) => inner.endOfTurn(whileAlive(task)),
    nextTurn: (task) => inner.nextTurn(whileAlive(task)),
  }
}

function mortalFile(life: Life, file: object): object {
  const open = file as { closeSync(): void }
  const leave = () => open.closeSync()
  life.leftovers.add(leave)
  return mortal(life, file, (name, result) => {
    if (name === 'close' || name === 'closeSync') life.leftovers.delete(leave)
    return result
  })
}

function mortalLock(life: Life, lock: { release(): Promise<void> }) {
  const leave = () => lock.release()
  life.leftovers.add(leave)
  return {
    async release(): Promise<void> {
      if (!life.alive) return never
      life.leftovers.delete(leave)
      return lock.release()
    },
  }
}

function mortalNet(life: Life, inner: Net): Net {
  return {
    async listen(address, onConnection) {
      if (!life.alive) return never
      const server = await inner.listen(address, (socket) => {
        if (life.alive) onConnection(mortalSocket(life, socket))
        else socket.destroy()
      })
      life.servers.add(server)
      return server
    },
    async connect(address, timeoutMs) {
      if (!life.alive) return never
      const socket = await life.guard(inner.connect(address, timeoutMs))
      return mortalSocket(life, socket)
    },
  }
}

/** The peer sees the socket close; the dead side hears nothing any more. */
function mortalSocket(life: Life, inner: Socket): Socket {
  life.sockets.add(inner)
  inner.onClose(() => life.sockets.delete(inner))
  const read = (chunk: Buffer, take: (chunk: Buffer) => void) => {
    if (life.alive) take(chunk)
  }
  return {
    remoteAddress: inner.remoteAddress,
    remotePort: inner.remotePort,
    localPort: inner.localPort,
    get queuedBytes() {
      return inner.queuedBytes
    },
    get untakenBytes() {
      return inner.untakenBytes
    },
    onData: (listener) => inner.onData((chunk) => read(chunk, listener)),
    readInto: (reader) =>
      inner.readInto?.({
        target: () => (life.alive ? reader.target() : undefined),
        read: (chunk, inTarget) => read(chunk, (alive) => reader.read(alive, inTarget)),
      }) ?? false,
    onDrain: (listener) =>
      inner.onDrain(() => {
        if (life.alive) listener()
      }),
    onClose: (listener) =>
      inner.onClose((error) => {
        life.sockets.delete(inner)
        if (life.alive) listener(error)
      }),
    write: (chunks) => !life.alive || inner.write(chunks),
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    end: () => inner.end(),
    destroy: () => inner.destroy(),
  }
}
