import { randomUUID } from 'node:crypto'

export const uniqueName = () => `t-${randomUUID().slice(0, 13)}`

const pollMs = 50

/** Waits until a check holds. @throws with the last value when it does not within the time, which is generous */
export async function until<T>(
  what: string,
  read: () => Promise<T>,
  holds: (value: T) => boolean,
  patienceMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const value = await read()
    if (holds(value)) return value
    if (Date.now() > deadline) {
      throw new Error(`${what}: not within ${patienceMs} ms, last ${JSON.stringify(value)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
