/**
 * Every operating error of LMQ, by code. The text says what happened and ends in what the operator can do.
 * Codes are never reused.
 */
export const operatingErrors = {
  LMQ_CONFIG_INVALID:
    'a setting has a value that is not allowed: see the setting named in this error',
  LMQ_CONFIG_UNKNOWN: 'a setting is not known: see the nearest valid name in this error',
  LMQ_DISK_WRITE: 'cannot write to the log directory: check free space and permissions',
  LMQ_DISK_READ: 'cannot read from the log directory: check the disk and permissions',
  LMQ_DISK_FLUSH: 'the disk refused to make written data durable: check the disk, then restart',
  LMQ_LOG_DIR_TAKEN: 'another broker uses this data folder: stop it or choose another folder',
  LMQ_LOG_DIR_OFFLINE:
    'the log directory was closed after a disk error: mend the disk, then restart',
  LMQ_LOG_DIR_FOREIGN:
    'the data folder belongs to another cluster or broker: choose another folder',
  LMQ_IMPORT_UNFINISHED:
    'an import into the data folder was interrupted: run the same `lmq import` again, it goes on',
  LMQ_LOG_CORRUPT:
    'stored data does not match its checksum: restore the replica or delete the partition',
  LMQ_STORE_CORRUPT: 'the metadata log is damaged: restore it from a copy',
  LMQ_STORE_TOO_NEW:
    'the metadata log was written by a newer version: start that version or a newer one',
  LMQ_STORE_UNREACHABLE:
    'the metadata store does not answer: check its address and that it has a leader',
  LMQ_STORE_DENIED:
    'the metadata store refuses this broker: check its token and what the token may do',
  LMQ_STORE_REFUSED:
    'the metadata store takes no such request: see its reason; where it is a limit of Consul (kv_max_value_size, txn_max_req_len), raise it to its default at least',
  LMQ_STORE_DIVERGED:
    'the metadata store was emptied or restored from an older copy: bring the newer one back, or restore it from the broker that knows most (lmq cluster recover --from-broker)',
  LMQ_LOCK_LOST: 'a lock of the cluster is held by another broker by now: leave the work to it',
  LMQ_BROKER_REFUSED:
    'the cluster does not take this broker: see the reason, and stop the other broker of this id if there is one',
  LMQ_NOT_CONTROLLER: 'this broker is no longer the controller: ask the current one',
  LMQ_PORT_TAKEN: 'the port is already in use: stop the other program or choose another port',
  LMQ_LISTENER_INVALID: 'a listener cannot be opened: check its host name and port',
  LMQ_CODEC_MISSING:
    'a compression codec is not installed: install the package named in this error',
  LMQ_CODEC_FAILED: 'compressed data cannot be opened: it is damaged or not of the codec it names',
  LMQ_CODEC_TOO_LARGE: 'compressed data inflates beyond the bound: it is refused',
  LMQ_PROTOCOL: 'bytes do not follow the Kafka protocol: see the facts in this error',
  LMQ_CONNECTION_CLOSED: 'the connection was closed before the answer: check the broker and retry',
  LMQ_REQUEST_TIMED_OUT: 'no answer came in time: check the broker and retry',
  LMQ_SHUTTING_DOWN: 'the broker is stopping: retry on another broker or after its restart',
} as const

export type OperatingErrorCode = keyof typeof operatingErrors
export type Facts = Readonly<Record<string, unknown>>

/** A failure that correct code must expect: disks fill, peers vanish. A bug is an `assert`, never one of these. */
export class LmqError extends Error {
  override readonly name = 'LmqError'
  readonly code: OperatingErrorCode
  readonly facts: Facts

  /** @param facts what an operator needs to act on: path, key, value, address; shown in the message */
  constructor(code: OperatingErrorCode, facts: Facts = {}, cause?: unknown) {
    const shown = Object.entries(facts)
      .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join(' ')
    const reason = cause instanceof Error ? ` (${cause.message})` : ''
    super(
      `${operatingErrors[code]}${shown ? ` [${shown}]` : ''}${reason}`,
      cause === undefined ? undefined : { cause },
    )
    this.code = code
    this.facts = facts
  }
}
