import type { IsrChange, IsrOutcome } from '../../../src/cluster/alter-partition.ts'
import type { BrokerChange, BrokerRegistration } from '../../../src/cluster/broker-commands.ts'
import { configRulesOf } from '../../../src/cluster/config-rules.ts'
import { ControllerMachine } from '../../../src/cluster/controller-machine.ts'
import type { Decision } from '../../../src/cluster/decision.ts'
import type { NewTopic } from '../../../src/cluster/topic-commands.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { type ErrorCode, errorName } from '../../../src/protocol/error-code.ts'

export const defaults = { numPartitions: 1, replicationFactor: 1 }

let ids = 0
/** Never the same twice; in the form of a UUID. */
export const newId = (): string =>
  Buffer.from(String(++ids).padStart(16, '0')).toString('base64url')

export function topic(name: string, other: Partial<NewTopic> = {}): NewTopic {
  return {
    name,
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [],
    configs: [],
    ...other,
  }
}

export const configs = (values: Record<string, string | null>) => ({
  configs: Object.entries(values).map(([name, value]) => ({ name, value })),
})

export const registration = (
  brokerId: number,
  other: Partial<BrokerRegistration> = {},
): BrokerRegistration => ({
  brokerId,
  incarnationId: newId(),
  directoryIds: [`directory of ${brokerId}`],
  bootId: null,
  rack: null,
  hostId: null,
  listeners: [],
  unfenced: true,
  ...other,
})

/** A machine that applies what it decides, as its driver does. */
export class TestMachine {
  readonly machine: ControllerMachine

  constructor(brokers = 1, racks: readonly (string | null)[] = []) {
    this.machine = new ControllerMachine(configRulesOf(brokerConfigOf()))
    this.run(this.machine.bootstrap('cluster', new Map()))
    for (let id = 1; id <= brokers; id++) {
      this.run(this.machine.registerBroker(registration(id, { rack: racks[id - 1] ?? null })))
    }
  }

  get image() {
    return this.machine.image
  }

  run<Answer>({ answer, records }: Decision<Answer>): Answer {
    for (const record of records) this.machine.apply(record)
    return answer
  }

  /** Moves a broker: fenced and in controlled shutdown as said, else neither. Under its present epoch. */
  change(
    brokerId: number,
    { fenced = false, inControlledShutdown = false }: Partial<BrokerChange>,
  ): ErrorCode {
    const brokerEpoch = this.image.brokers.get(brokerId)?.brokerEpoch ?? -1
    const change = { brokerId, brokerEpoch, fenced, inControlledShutdown }
    return this.run(this.machine.changeBroker(change)).errorCode
  }

  /** Fences brokers in one command, under their present epochs. */
  fence(...brokerIds: number[]): ErrorCode {
    const runs = brokerIds.map((brokerId) => {
      return { brokerId, brokerEpoch: this.image.brokers.get(brokerId)?.brokerEpoch ?? -1 }
    })
    return this.run(this.machine.fenceBrokers(runs)).errorCode
  }

  /** Asks for in-sync replicas as the leader does, with what it knows. */
  alterIsr(topicName: string, isr: readonly number[], other: Partial<IsrChange> = {}): IsrOutcome {
    const { topicId = '', partitions = [] } = this.image.topic(topicName) ?? {}
    const {
      leader = -1,
      leaderEpoch = -1,
      partitionEpoch = -1,
    } = partitions[other.partitionIndex ?? 0] ?? partitions[0] ?? {}
    const members = isr.map((brokerId) => {
      return { brokerId, brokerEpoch: this.image.brokers.get(brokerId)?.brokerEpoch ?? -1 }
    })
    const change = { topicId, partitionIndex: 0, leaderEpoch, partitionEpoch, isr: members }
    const brokerEpoch = this.image.brokers.get(leader)?.brokerEpoch ?? -1
    const changes = [{ ...change, ...other }]
    const answer = this.run(this.machine.alterPartition({ brokerId: leader, brokerEpoch, changes }))
    const [outcome] = answer.partitions
    if (!outcome) throw new Error(`refused: ${errorName(answer.errorCode)}`)
    return outcome
  }

  /** Makes topics; gives `name ERROR message` for each. */
  create(topics: readonly NewTopic[], validateOnly = false): string[] {
    const topicIds = topics.map(newId)
    const created = this.run(
      this.machine.createTopics({ topics, validateOnly, defaults, topicIds }),
    )
    return created.map(({ name, errorCode, errorMessage }) =>
      [name, errorName(errorCode), ...(errorMessage === null ? [] : [errorMessage])].join(' '),
    )
  }

  alter(
    resourceType: number,
    resourceName: string,
    ...changes: [name: string, configOperation: number, value: string | null][]
  ): string {
    const [outcome] = this.run(
      this.machine.incrementalAlterConfigs({
        resources: [
          {
            resourceType,
            resourceName,
            configs: changes.map(([name, configOperation, value]) => ({
              name,
              configOperation,
              value,
            })),
          },
        ],
        validateOnly: false,
        brokerId: 1,
      }),
    )
    if (!outcome) throw new Error('no answer')
    const { errorCode, errorMessage } = outcome
    return [errorName(errorCode), ...(errorMessage === null ? [] : [errorMessage])].join(' ')
  }
}
