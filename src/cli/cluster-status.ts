/** `lmq cluster status`: who leads, who is there, what is not as it should be, and what is being done about it. */
import type { Command } from 'commander'
import { type BrokerState, describeBrokers, listReassignments } from '../client/admin-cluster.ts'
import { withTool } from './tool.ts'

type Place = { readonly topic: string; readonly partitionIndex: number }
type UnderReplicated = Place & {
  readonly leader: number
  readonly isr: readonly number[]
  readonly missing: readonly number[]
  readonly next: string
}
type Offline = Place & { readonly lastInSync: readonly number[]; readonly next: string }

export function withStatusCommand(cluster: Command): void {
  cluster
    .command('status')
    .description('controller, brokers, partitions that are not well and what is done about them')
    .action(status)
}

const status = (_flags: object, command: Command): Promise<void> =>
  withTool(command, async ({ client, output }) => {
    const { clusterId, controllerId, brokers } = await describeBrokers(client)
    const { topics } = await client.metadata(null)
    const reassignments = await listReassignments(client)
    const live = new Set(brokers.filter(({ fenced }) => !fenced).map(({ brokerId }) => brokerId))
    const moving = new Set(
      reassignments.map(({ topic, partitionIndex }) => `${topic}/${partitionIndex}`),
    )
    const underReplicated: UnderReplicated[] = []
    const offline: Offline[] = []
    let partitions = 0
    for (const { name, partitions: all } of topics) {
      for (const { partitionIndex, leaderId, replicaNodes, isrNodes, offlineReplicas } of all) {
        partitions++
        const place = { topic: name ?? '', partitionIndex }
        // A broker that takes part and cannot serve its replica has lost the disk under it.
        const failed = offlineReplicas.filter((replica) => live.has(replica))
        const missing = replicaNodes.filter((replica) => !isrNodes.includes(replica))
        if (leaderId < 0) {
          offline.push({
            ...place,
            lastInSync: isrNodes,
            next: untilLed(isrNodes, replicaNodes, failed),
          })
        } else if (missing.length > 0) {
          const isMoving = moving.has(`${name}/${partitionIndex}`)
          const next = untilInSync(missing, live, failed, isMoving)
          underReplicated.push({ ...place, leader: leaderId, isr: isrNodes, missing, next })
        }
      }
    }
    const found = {
      clusterId,
      controllerId,
      brokers,
      partitions,
      underReplicated,
      offline,
      reassignments,
    }
    const { tableOf } = await import('./output.ts')
    output.result(found, textOf(found, tableOf))
  })

const untilMended = (failed: readonly number[]): string =>
  `a disk of broker ${failed.join(', ')} failed: mend it and start the broker again`

function untilLed(
  isr: readonly number[],
  replicas: readonly number[],
  failed: readonly number[],
): string {
  if (failed.length > 0) return untilMended(failed)
  const who = isr.length > 0 ? isr : replicas
  return `leads again when broker ${who.join(' or ')} is back`
}

function untilInSync(
  missing: readonly number[],
  live: ReadonlySet<number>,
  failed: readonly number[],
  isMoving: boolean,
): string {
  if (isMoving) return 'is being moved'
  if (failed.length > 0) return untilMended(failed)
  const away = missing.filter((brokerId) => !live.has(brokerId))
  if (away.length === 0) return `broker ${missing.join(', ')} is catching up`
  return `waits for broker ${away.join(', ')} to come back`
}

type Found = {
  readonly clusterId: string
  readonly controllerId: number
  readonly brokers: readonly BrokerState[]
  readonly partitions: number
  readonly underReplicated: readonly UnderReplicated[]
  readonly offline: readonly Offline[]
  readonly reassignments: Awaited<ReturnType<typeof listReassignments>>
}

function textOf(found: Found, tableOf: typeof import('./output.ts').tableOf): string {
  const { clusterId, controllerId, brokers, partitions, underReplicated, offline, reassignments } =
    found
  const parts = [`cluster ${clusterId}, controller ${controllerId}\n`]
  parts.push(
    tableOf(
      [...brokers],
      [
        { title: 'BROKER', value: (row) => row.brokerId },
        { title: 'ADDRESS', value: (row) => `${row.host}:${row.port}` },
        { title: 'RACK', value: (row) => row.rack },
        { title: 'STATE', value: (row) => (row.fenced ? 'away' : 'live') },
        { title: 'CONTROLLER', value: (row) => (row.brokerId === controllerId ? 'yes' : '') },
      ],
    ),
  )
  parts.push(
    `${partitions} partitions: ${offline.length} offline, ${underReplicated.length} under-replicated, ${reassignments.length} being moved\n`,
  )
  if (reassignments.length > 0) {
    parts.push(
      tableOf(reassignments, [
        { title: 'MOVING', value: (row) => `${row.topic}-${row.partitionIndex}` },
        { title: 'TO BROKER', value: (row) => row.adding.join(',') },
        { title: 'FROM BROKER', value: (row) => row.removing.join(',') },
      ]),
    )
  }
  const rows = [
    ...offline.map((each) => ({ ...each, state: 'offline' })),
    ...underReplicated.map((each) => ({ ...each, state: 'under-replicated' })),
  ]
  if (rows.length > 0) {
    parts.push(
      tableOf(rows, [
        { title: 'PARTITION', value: (row) => `${row.topic}-${row.partitionIndex}` },
        { title: 'STATE', value: (row) => row.state },
        { title: 'NEXT', value: (row) => row.next },
      ]),
    )
  }
  return parts.join('\n')
}
