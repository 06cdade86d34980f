/**
 * `lmq cluster rebalance` and `lmq cluster remove-broker`: which replicas should move, and the moves themselves. The plan
 * is the one that the controller makes for automatic moves.
 */
import type { Command } from 'commander'
import {
  alterReassignments,
  type BrokerState,
  describeBrokers,
  describeLogDirs,
  listReassignments,
  unregisterBroker,
} from '../client/admin-cluster.ts'
import { alterConfigs, configOperations, describeConfigs } from '../client/admin-configs.ts'
import type { Client } from '../client/client.ts'
import { askDiskUsage, sizeKey } from '../cluster/disk-usage.ts'
import { ResourceType } from '../cluster/metadata-image.ts'
import { throttleFor } from '../cluster/move-throttle.ts'
import {
  type MoveReason,
  type PlanBroker,
  type PlannedMove,
  planRebalance,
} from '../cluster/rebalance-plan.ts'
import { UsageError } from './error-sentence.ts'
import { sizeText } from './output.ts'
import { integerOf, type Tool, withTool } from './tool.ts'

type Flags = {
  readonly without?: string
  readonly throttle?: string
  readonly maxMoves?: string
  readonly wait?: boolean
}

type Plan = {
  /** Why nothing is to be moved now. */
  readonly waitsFor: string | undefined
  readonly moves: readonly PlannedMove[]
}

const ENABLE = 'lmq.rebalance.enable'
const FULL_AT = 0.85
const ALL_MOVES = 10_000
const LOOK_MS = 500

const reasons: Readonly<Record<MoveReason, string>> = {
  left: 'its broker leaves',
  domains: 'two copies would fail together',
  full: 'a disk fills up',
  replicas: 'shares are uneven',
  leaders: 'leads are uneven; nothing to copy',
}

export function withRebalanceCommands(cluster: Command): void {
  const rebalance = cluster
    .command('rebalance')
    .description('show which replicas should move between brokers, and move them')
    .option('--without <ids>', 'brokers that are to have no replicas, separated by commas')
    .option('--max-moves <number>', 'partitions to copy at most')
    .action(showPlan)
  rebalance
    .command('start')
    .description('make the moves that `lmq cluster rebalance` shows')
    .option('--throttle <bytes>', 'bytes per second to or from one broker; gone when the moves are')
    .option('--wait', 'until the moves are made')
    .action(start)
  rebalance
    .command('cancel')
    .description('take back all moves under way, whoever began them')
    .action(cancel)
  rebalance
    .command('pause')
    .description(`begin no automatic moves (${ENABLE}=false); what is under way goes on`)
    .action((_flags: object, command: Command) => enable(command, false))
  rebalance
    .command('resume')
    .description(`let the controller move replicas by itself (${ENABLE}=true)`)
    .action((_flags: object, command: Command) => enable(command, true))
  cluster
    .command('remove-broker')
    .description('move everything off a broker; forget it when it is stopped')
    .argument('<id>', 'its number')
    .option('--throttle <bytes>', 'bytes per second to or from one broker')
    .action(removeBroker)
}

const showPlan = (_flags: object, command: Command): Promise<void> =>
  withTool(command, async (tool) => tellPlan(tool, await planOf(tool, flagsOf(command))))

const start = (_flags: object, command: Command): Promise<void> =>
  withTool(command, async (tool) => {
    const flags = flagsOf(command)
    const plan = await planOf(tool, flags)
    tellPlan(tool, plan)
    if (plan.moves.length === 0) return
    await move(tool.client, plan.moves, flags.throttle)
    if (flags.wait) await untilMoved(tool)
    else tool.output.note('The moves are under way: see `lmq cluster status`.')
  })

const cancel = (_flags: object, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const moves = await listReassignments(client)
    const back = moves.map(({ topic, partitionIndex }) => {
      return { topic, partitionIndex, replicas: null }
    })
    if (back.length > 0) await alterReassignments(client, back)
    output.done({ cancelled: moves.length }, `${moves.length} moves were taken back`)
  })

const enable = (command: Command, on: boolean): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const change = { name: ENABLE, operation: 'set', value: String(on) } as const
    await alterConfigs(client, { type: 'broker', name: '' }, [change])
    output.done({ enabled: on }, `automatic moves are ${on ? 'on' : 'paused'}`)
  })

const removeBroker = (id: string, _flags: object, command: Command): Promise<void> =>
  withTool(command, async (tool) => {
    const { client, output } = tool
    const brokerId = integerOf('<id>', id)
    const { throttle } = flagsOf(command)
    const known = (await describeBrokers(client)).brokers.find((each) => each.brokerId === brokerId)
    if (!known) throw new UsageError(`broker ${brokerId} is not known here`)
    const moved = await moveAllOff(tool, brokerId, throttle)
    if (known.fenced) {
      await unregisterBroker(client, brokerId)
      output.done({ brokerId, moved, removed: true }, `broker ${brokerId} is removed`)
      return
    }
    const next = `broker ${brokerId} has no replicas any more: stop it, then run this again`
    output.done({ brokerId, moved, removed: false }, next)
  })

/** One replica of a partition moves at a time: again until nothing is left. @returns how many moved */
async function moveAllOff(tool: Tool, brokerId: number, throttle?: string): Promise<number> {
  const { client } = tool
  for (let moved = 0; ; ) {
    const { waitsFor, moves } = await planOf(tool, { without: String(brokerId) })
    if (waitsFor !== undefined) throw new UsageError(waitsFor)
    const off = moves.filter(({ before }) => before.includes(brokerId))
    if (off.length === 0) {
      const { topics } = await client.metadata(null)
      const left = topics.flatMap(({ name, partitions }) =>
        partitions.flatMap(({ partitionIndex, replicaNodes }) =>
          replicaNodes.includes(brokerId) ? [`${name}-${partitionIndex}`] : [],
        ),
      )
      if (left.length === 0) return moved
      const some = left.slice(0, 5).join(', ')
      throw new UsageError(`no other broker can take ${some}: there are too few, or they are full`)
    }
    moved += off.length
    await move(client, off, throttle)
    await untilMoved(tool)
  }
}

const flagsOf = (command: Command): Flags => command.optsWithGlobals<Flags>()

/** Brokers without a rack and with one address are on one machine. */
const domainOf = ({ rack, host }: BrokerState): string => rack ?? `host ${host}`

async function planOf({ client }: Tool, flags: Flags): Promise<Plan> {
  const without = new Set(
    (flags.without ?? '')
      .split(',')
      .filter(Boolean)
      .map((id) => integerOf('--without', id)),
  )
  const maxMoves =
    flags.maxMoves === undefined ? ALL_MOVES : integerOf('--max-moves', flags.maxMoves, 1)
  const stay = (await describeBrokers(client)).brokers.filter((each) => !without.has(each.brokerId))
  const away = stay.find(({ fenced }) => fenced)
  if (away) {
    const { brokerId } = away
    const waitsFor = `broker ${brokerId} is away and may come back: say --without ${brokerId} if it does not`
    return { waitsFor, moves: [] }
  }
  const usage = await askDiskUsage(
    stay.map(({ brokerId }) => brokerId),
    async (brokerId) => {
      const results = await describeLogDirs(client, brokerId)
      return { throttleTimeMs: 0, errorCode: 0, results }
    },
  )
  const sizes = new Map(usage.flatMap((each) => [...each.sizes]))
  const brokers = stay.map((broker): PlanBroker => {
    const { brokerId } = broker
    const disk = usage.find((each) => each.brokerId === brokerId && each.totalBytes > 0)
    return { brokerId, failureDomain: domainOf(broker), ...(disk && { disk }) }
  })
  const moving = new Map(
    (await listReassignments(client)).map((each) => [
      sizeKey(each.topic, each.partitionIndex),
      each,
    ]),
  )
  const { topics } = await client.metadata(null)
  const partitions = topics.flatMap(({ name, partitions: all }) =>
    all.map(({ partitionIndex, replicaNodes }) => {
      const key = sizeKey(name ?? '', partitionIndex)
      const { removing = [] } = moving.get(key) ?? {}
      return {
        topic: name ?? '',
        partitionIndex,
        replicas: replicaNodes.filter((replica) => !removing.includes(replica)),
        sizeBytes: sizes.get(key) ?? 0,
        isMoving: moving.has(key),
      }
    }),
  )
  const moves = planRebalance(brokers, partitions, { maxMoves, fullAt: FULL_AT })
  return { waitsFor: undefined, moves }
}

function tellPlan({ output }: Tool, { waitsFor, moves }: Plan): void {
  if (waitsFor !== undefined) output.note(waitsFor)
  output.list(
    moves,
    [
      { title: 'PARTITION', value: (row) => `${row.topic}-${row.partitionIndex}` },
      { title: 'FROM', value: (row) => row.before.join(',') },
      { title: 'TO', value: (row) => row.after.join(',') },
      { title: 'SIZE', value: (row) => sizeText(row.sizeBytes) },
      { title: 'WHY', value: (row) => reasons[row.reason] },
    ],
    'Nothing needs to move.',
  )
}

async function move(
  client: Client,
  moves: readonly PlannedMove[],
  throttle: string | undefined,
): Promise<void> {
  const begin = (): Promise<void> =>
    alterReassignments(
      client,
      moves.map(({ topic, partitionIndex, after }) => ({ topic, partitionIndex, replicas: after })),
    )
  if (throttle === undefined) return begin()
  const rate = integerOf('--throttle', throttle, 1_024)
  await setThrottle(client, moves, rate)
  await begin()
  // Had this taken very long, the controller would have found that nobody needs the throttle.
  await setThrottle(client, moves, rate)
}

/** The controller takes it away when nothing moves any more. */
async function setThrottle(
  client: Client,
  moves: readonly PlannedMove[],
  bytesPerSecond: number,
): Promise<void> {
  const all = new Set<string>()
  for (const topic of new Set(moves.map((each) => each.topic))) {
    for (const { name, value } of await describeConfigs(client, { type: 'topic', name: topic })) {
      if (value === '*') all.add(`${topic} ${name}`)
    }
  }
  const isAll = (topic: string, name: string): boolean => all.has(`${topic} ${name}`)
  for (const { resourceType, resourceName, configs } of throttleFor(moves, bytesPerSecond, isAll)) {
    const type = resourceType === ResourceType.TOPIC ? 'topic' : 'broker'
    const changes = configs.map(({ name, value, configOperation }) => {
      const operation = configOperation === configOperations.set ? 'set' : 'append'
      return { name, value, operation } as const
    })
    await alterConfigs(client, { type, name: resourceName }, changes)
  }
}

async function untilMoved({ client, output }: Tool): Promise<void> {
  for (let told = -1; ; ) {
    const { length } = await listReassignments(client)
    if (length === 0) return
    if (length !== told) output.note(`${length} partitions are being moved`)
    told = length
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
