/** Topics that the coordinators write (Kafka's Topic.java). Clients see them as internal and may not produce to them. */
export const InternalTopic = {
  groupMetadata: '__consumer_offsets',
  transactionState: '__transaction_state',
  shareGroupState: '__share_group_state',
} as const

/** Kafka's own metadata topic: nobody may make one of that name. */
export const CLUSTER_METADATA_TOPIC = '__cluster_metadata'

const internalTopics: ReadonlySet<string> = new Set(Object.values(InternalTopic))

export const isInternalTopic = (topic: string): boolean => internalTopics.has(topic)

const MAX_NAME_LENGTH = 249

/** Why Kafka refuses a name (Topic.java), in the words that clients show; undefined for a valid one. */
export function refusalOfTopicName(name: string): string | undefined {
  const reason = reasonAgainst(name)
  return reason === undefined ? undefined : `Topic name is invalid: ${reason}`
}

function reasonAgainst(name: string): string | undefined {
  if (name === '') return 'the empty string is not allowed'
  if (name === '.' || name === '..') return `'${name}' is not allowed`
  if (name.length > MAX_NAME_LENGTH) {
    return `the length of '${name}' is longer than the max allowed length ${MAX_NAME_LENGTH}`
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  }
  return undefined
}

/** Metrics write `.` as `_`, so two names that differ only there may not both exist. */
export const hasCollisionCharacters = (name: string): boolean => /[._]/.test(name)
export const collisionForm = (name: string): string => name.replaceAll('.', '_')
