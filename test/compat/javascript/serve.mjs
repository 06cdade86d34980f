// What the drivers of JavaScript clients share: one JSON command a line on standard input, one JSON answer a line on standard
// output. Bytes travel as base64. A client that has no call for a command answers {"unsupported": true}.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A client's admin call or read that takes longer has failed. */
export const patienceMs = 60_000

/** Thrown by a driver where its client has no call for what is asked. */
export class Unsupported extends Error {}

/** @returns the client package from the folder that it was installed in */
export function clientPackage(folder, name) {
  return createRequire(join(folder, 'package.json'))(name)
}

/**
 * Serves commands in order until standard input ends.
 *
 * @param commands by name; each takes the command's fields and gives the answer
 */
export async function serve(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...args } = JSON.parse(line)
    let answer
    try {
      if (!commands[name]) throw new Unsupported(name)
      answer = await commands[name](args)
    } catch (error) {
      answer =
        error instanceof Unsupported
          ? { unsupported: true }
          : { error: `${error?.name}: ${error?.message ?? error}` }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

export const decode = (text) =>
  text === null || text === undefined ? null : Buffer.from(text, 'base64')

export const encode = (data) =>
  data === null || data === undefined ? null : Buffer.from(data).toString('base64')

/** One call for each name: null where it succeeded, the protocol's error name where not. */
export async function eachResult(names, call, errorName) {
  const results = {}
  for (const name of names) {
    try {
      await call(name)
      results[name] = null
    } catch (error) {
      results[name] = errorName(error)
    }
  }
  return { results }
}

/** Turns a function whose last parameter is a Node.js callback into a promise. */
export const called = (call) =>
  new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)))
  })

/** [topic, partition] pairs in order. */
export const places = (partitions) =>
  partitions
    .map(({ topic, partition }) => [topic, partition])
    .sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1))

/** What a group member has read; the driver's member has the client's consumer, its assignment, commit and leave. */
export class Inbox {
  #records = []
  #positions = new Map()

  /** @param position what the client commits for the place: a topic, a partition, the next offset */
  add(record, position) {
    this.#records.push(record)
    this.#positions.set(`${record.topic}-${record.partition}`, position)
  }

  take() {
    return this.#records.splice(0)
  }

  /** The positions in partitions that are still the member's, as [topic, partition]. */
  positionsIn(assignment) {
    const mine = new Set(assignment.map(([topic, partition]) => `${topic}-${partition}`))
    return [...this.#positions].filter(([place]) => mine.has(place)).map(([, position]) => position)
  }
}

/**
 * The commands about group members.
 *
 * @param join takes the command's fields and gives a member: `assignment`, `commit(positions)`, `leave()`, and an `inbox`
 */
export function memberCommands(join) {
  const members = new Map()
  return {
    join: async (args) => {
      members.set(args.member, await join(args))
      return {}
    },
    assignment: async ({ member }) => ({ partitions: members.get(member).assignment }),
    take: async ({ member }) => ({ records: members.get(member).inbox.take() }),
    commit: async ({ member: name }) => {
      const member = members.get(name)
      const positions = member.inbox.positionsIn(member.assignment)
      if (positions.length > 0) await member.commit(positions)
      return {}
    },
    leave: async ({ member }) => {
      await members.get(member).leave()
      members.delete(member)
      return {}
    },
  }
}
