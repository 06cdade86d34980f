import type { Services } from './handler.ts'

/**
 * Whom clients are told to be the controller: they send to it what is for the controller. Every broker takes that
 * (KIP-590), so any live one is right; the active one saves a hop, and tells people the truth. It must be among the
 * brokers that the same answer names.
 */
export function controllerIdFor(
  { cluster, image, broker }: Services,
  listenerName: string,
): number {
  const active = cluster?.controllerId ?? broker.brokerId
  if (active === broker.brokerId || image.endpoint(active, listenerName)) return active
  return broker.brokerId
}
