/**
 * The throttle of moves (KIP-73): which settings hold the copies of a reassignment to a rate, and which of them are left
 * over when it is done. Pure; `Balance` and `lmq cluster rebalance` make the changes.
 *
 * The rates stand in the default of all brokers. Kafka's own tool sets the rates of single brokers, so what stands there
 * is a person's, and stays.
 */
import { type ConfigChange, ConfigOperation, type ResourceChange } from './config-commands.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import { isReassigning } from './partition-change.ts'

export const rateSettings = [
  'leader.replication.throttled.rate',
  'follower.replication.throttled.rate',
] as const
export const leaderReplicas = 'leader.replication.throttled.replicas'
export const followerReplicas = 'follower.replication.throttled.replicas'

/** A partition that gets other replicas. */
export type ThrottledMove = {
  readonly topic: string
  readonly partitionIndex: number
  readonly before: readonly number[]
  readonly after: readonly number[]
}

export type ThrottleChange = ResourceChange<ConfigChange>

/**
 * Settings to change before the moves begin. Whoever has the partition may be its leader; whoever gets it follows.
 *
 * @param bytesPerSecond of each broker, for what it sends and for what it receives
 * @param isAll whether a topic's list of throttled replicas names all of them already: then nothing can be added
 */
export function throttleFor(
  moves: readonly ThrottledMove[],
  bytesPerSecond: number,
  isAll: (topic: string, name: string) => boolean,
): ThrottleChange[] {
  const lists = new Map<string, { leaders: string[]; followers: string[] }>()
  for (const { topic, partitionIndex, before, after } of moves) {
    const added = after.filter((replica) => !before.includes(replica))
    if (added.length === 0) continue
    let list = lists.get(topic)
    if (!list) {
      list = { leaders: [], followers: [] }
      lists.set(topic, list)
    }
    for (const replica of before) list.leaders.push(`${partitionIndex}:${replica}`)
    for (const replica of added) list.followers.push(`${partitionIndex}:${replica}`)
  }
  if (lists.size === 0) return []
  const rates = rateSettings.map((name) => change(name, ConfigOperation.SET, `${bytesPerSecond}`))
  return [
    { resourceType: ResourceType.BROKER, resourceName: '', configs: rates },
    ...Array.from(lists, ([resourceName, { leaders, followers }]) => ({
      resourceType: ResourceType.TOPIC,
      resourceName,
      configs: [
        change(leaderReplicas, ConfigOperation.APPEND, leaders.join(',')),
        change(followerReplicas, ConfigOperation.APPEND, followers.join(',')),
      ].filter(({ name }) => !isAll(resourceName, name)),
    })).filter(({ configs }) => configs.length > 0),
  ]
}

/** Settings of `throttleFor` that nothing needs any more: of partitions that do not move, and all when none moves. */
export function throttleLeftOver(image: MetadataImage): ThrottleChange[] {
  const rates = image.configs(ResourceType.BROKER, '')
  if (!rateSettings.some((name) => rates.has(name))) return []
  const changes: ThrottleChange[] = []
  let isMoving = false
  for (const { name: topic, partitions } of image.topics.values()) {
    const moving = new Set<string>()
    for (const partition of partitions) {
      if (isReassigning(partition)) moving.add(String(partition.partitionIndex))
    }
    if (moving.size > 0) isMoving = true
    const configs = [leaderReplicas, followerReplicas].flatMap((name) => {
      const text = image.configs(ResourceType.TOPIC, topic).get(name) ?? ''
      return withoutStill(name, text.split(',').filter(Boolean), moving)
    })
    if (configs.length === 0) continue
    changes.push({ resourceType: ResourceType.TOPIC, resourceName: topic, configs })
  }
  if (isMoving) return changes
  const gone = rateSettings
    .filter((name) => rates.has(name))
    .map((name) => change(name, ConfigOperation.DELETE, null))
  return [...changes, { resourceType: ResourceType.BROKER, resourceName: '', configs: gone }]
}

/** `*` is a person's. */
function withoutStill(
  name: string,
  list: readonly string[],
  moving: ReadonlySet<string>,
): ConfigChange[] {
  const kept = list.filter((each) => each === '*' || moving.has(each.slice(0, each.indexOf(':'))))
  if (kept.length === list.length) return []
  return [
    kept.length === 0
      ? change(name, ConfigOperation.DELETE, null)
      : change(name, ConfigOperation.SET, kept.join(',')),
  ]
}

const change = (name: string, configOperation: number, value: string | null): ConfigChange => ({
  name,
  configOperation,
  value,
})
