/** Turns what went wrong into one sentence that says what to do about it. */
import { AssertionError } from '../base/assert.ts'
import { LmqError } from '../base/errors.ts'
import { exitCodes } from './exit-codes.ts'

/** Wrong arguments, found by a command itself. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export type Sentence = { readonly text: string; readonly exitCode: number }

/** What a person may do about an outcome, by its name. */
const hints: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'see what there is with `lmq topics list` and `lmq topics describe`',
  UNKNOWN_TOPIC_ID: 'see what there is with `lmq topics list`',
  TOPIC_ALREADY_EXISTS: 'choose another name, or say --if-not-exists',
  INVALID_TOPIC_EXCEPTION:
    'use 1 to 249 letters, digits, dots, dashes and underscores; a dot and an underscore count as one',
  INVALID_PARTITIONS: 'give 1 or more; partitions of a topic can only become more',
  INVALID_REPLICATION_FACTOR: 'use at most as many replicas as there are brokers',
  GROUP_ID_NOT_FOUND: 'see what there is with `lmq groups list`',
  NON_EMPTY_GROUP: 'stop its members first',
  UNKNOWN_MEMBER_ID: 'the group has members: stop them first',
  GROUP_SUBSCRIBED_TO_TOPIC: 'stop the members that read the topic first',
  OFFSET_OUT_OF_RANGE: 'see where the log starts and ends with `lmq topics describe`',
  MESSAGE_TOO_LARGE: 'raise max.message.bytes of the topic, or send less at once',
  TOPIC_DELETION_DISABLED: 'the cluster does not allow it (delete.topic.enable)',
  REQUEST_TIMED_OUT:
    "see the broker's log and `lmq cluster status`: it may wait for Consul, or for other brokers",
  NOT_ENOUGH_REPLICAS: 'fewer replicas are in sync than min.insync.replicas wants',
}

export function sentenceOf(error: unknown): Sentence {
  if (error instanceof UsageError) return { text: error.message, exitCode: exitCodes.usage }
  if (error instanceof LmqError) return sentenceOfLmqError(error)
  if (error instanceof Error && error.name === 'OutcomeError') {
    const name = (error as Error & { errorName: string }).errorName
    const hint = hints[name]
    return {
      text: hint === undefined ? error.message : `${error.message}: ${hint}`,
      exitCode: exitCodes.failed,
    }
  }
  const isBug = error instanceof AssertionError || !isSystemError(error)
  const text = isBug && error instanceof Error ? (error.stack ?? error.message) : messageOf(error)
  return { text, exitCode: exitCodes.failed }
}

const isSystemError = (error: unknown): boolean =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string'

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

function reasonOf(error: LmqError): string {
  const { cause } = error
  if (!(cause instanceof Error)) return ''
  const { code } = cause as NodeJS.ErrnoException
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'the host name cannot be looked up now',
    ETIMEDOUT: 'no answer',
    ECONNRESET: 'the connection was reset: is it a Kafka port?',
    EACCES: 'permission denied',
    ENOENT: 'no such file',
  }
  return known[code ?? ''] ?? cause.message
}

function sentenceOfLmqError(error: LmqError): Sentence {
  const { code, facts } = error
  const reason = reasonOf(error)
  if (code === 'LMQ_CONNECTION_CLOSED') {
    const why = reason ? ` (${reason})` : ''
    const advice = 'start a broker with `lmq start`, or name another with --bootstrap host:port'
    const text = `cannot reach ${facts['address']}${why}: ${advice}`
    return { text, exitCode: exitCodes.unavailable }
  }
  if (code === 'LMQ_REQUEST_TIMED_OUT') {
    // Somebody took the connection: starting another broker would not help.
    const advice = 'see its log and `lmq cluster status`, or wait longer with --timeout'
    const text = `no answer to ${facts['api']} from ${facts['address']}, though it listens: ${advice}`
    return { text, exitCode: exitCodes.unavailable }
  }
  if (code === 'LMQ_PROTOCOL' && facts['what'] !== undefined) {
    const text = `what answers does not speak Kafka's protocol (${facts['what']}): check --bootstrap`
    return { text, exitCode: exitCodes.failed }
  }
  if (code === 'LMQ_LOG_DIR_OFFLINE') {
    const dirs = facts['dirs'] ?? facts['dir'] ?? ''
    const advice = 'see the line above, or choose a folder that you may write with --data'
    return { text: `no data folder can be used (${dirs}): ${advice}`, exitCode: exitCodes.failed }
  }
  if (code === 'LMQ_PORT_TAKEN') {
    const where = `port ${facts['port']} on ${facts['host']}`
    const advice = 'stop the other program, or choose another port with --port (0 takes a free one)'
    return { text: `${where} is already in use: ${advice}`, exitCode: exitCodes.unavailable }
  }
  if (code === 'LMQ_LOG_DIR_TAKEN') {
    const where = facts['path'] ?? facts['folder'] ?? ''
    if (facts['holder'] !== undefined) {
      const text = `${facts['holder']} still uses ${where}: stop it first`
      return { text, exitCode: exitCodes.unavailable }
    }
    const advice = 'stop that broker, choose another folder with --data, or say --ephemeral'
    return {
      text: `another broker uses the data folder ${where}: ${advice}`,
      exitCode: exitCodes.unavailable,
    }
  }
  if (code === 'LMQ_LOG_DIR_FOREIGN' && typeof facts['reason'] === 'string') {
    const where = facts['dir'] ?? facts['path'] ?? facts['folder']
    const holds = Array.isArray(facts['holds']) ? ` (it holds ${facts['holds'].join(', ')})` : ''
    const text = `${where === undefined ? '' : `${where}: `}${facts['reason']}${holds}`
    return { text, exitCode: exitCodes.failed }
  }
  if (code === 'LMQ_CONFIG_INVALID' || code === 'LMQ_CONFIG_UNKNOWN') {
    return { text: configSentence(error, reason), exitCode: exitCodes.usage }
  }
  const { unavailable, failed } = exitCodes
  return { text: error.message, exitCode: code === 'LMQ_STORE_UNREACHABLE' ? unavailable : failed }
}

function configSentence({ code, facts, message }: LmqError, reason: string): string {
  const { key, value, source, nearest, also, file } = facts
  if (key === undefined) {
    return file === undefined
      ? message
      : `${file}: ${facts['reason'] ?? 'not a properties file'} (${reason})`
  }
  const from = source === undefined || source === 'set' ? '' : ` (from ${source})`
  const meant = nearest === undefined ? '' : `: did you mean ${nearest}?`
  const others = Array.isArray(also) ? `; also wrong: ${also.join(', ')}` : ''
  if (code === 'LMQ_CONFIG_UNKNOWN') {
    return `there is no setting ${key}${from}${meant}${others}`
  }
  return `${key}=${value}${from} is not allowed: ${facts['reason']}${others}`
}
