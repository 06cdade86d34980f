/** Reads what a consumer put into its JoinGroup metadata: only which topics it wants. */
import { consumerProtocolSubscription } from '../../protocol/messages/consumer-protocol-subscription.ts'

/** The protocol type of groups whose metadata and assignments follow Kafka's consumer protocol. */
export const CONSUMER_PROTOCOL = 'consumer'

/**
 * The topics of a subscription. Version 0 is a prefix of every later version, so it is read with that layout whatever
 * version stands in front: versions to come are understood too (ClassicGroup.computeSubscribedTopics).
 *
 * @returns undefined when the bytes are not a subscription: then nobody knows what the member reads
 */
export function subscribedTopics(metadata: Buffer): readonly string[] | undefined {
  if (metadata.length < 2 || metadata.readInt16BE(0) < 0) return undefined
  try {
    return consumerProtocolSubscription.decode(metadata, 0, 2).topics
  } catch {
    // Foreign bytes under the name "consumer": harmless, the group only counts as one with unknown subscriptions.
    return undefined
  }
}
