/** Topics that the coordinators write (Kafka's Topic.java). Clients see them as internal and may not produce to them. */
const internalTopics: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
])

export const isInternalTopic = (topic: string): boolean => internalTopics.has(topic)

/** The only client id that may write internal topics (ReplicaManager.scala). */
export const ADMIN_CLIENT_ID = '__admin_client'

/** 1 to 249 of letters, digits, `.`, `_` and `-`, but not `.` or `..` (Topic.java). */
export const isTopicName = (topic: string): boolean =>
  /^[a-zA-Z0-9._-]{1,249}$/.test(topic) && topic !== '.' && topic !== '..'
