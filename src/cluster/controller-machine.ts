import type { ErrorCode } from '../protocol/error-code.ts'
import {
  type AlterPartitionAnswer,
  type AlterPartitionCommand,
  decideAlterPartition,
} from './alter-partition.ts'
import {
  type BrokerChange,
  type BrokerRegistration,
  type BrokerRun,
  decideAllocateProducerIds,
  decideChangeBroker,
  decideFenceBrokers,
  decideRegisterBroker,
  decideUnregisterBroker,
  type ProducerIdsAnswer,
  type RegistrationAnswer,
} from './broker-commands.ts'
import {
  type AlterClientQuotasCommand,
  decideAlterClientQuotas,
  type QuotaOutcome,
} from './client-quota-commands.ts'
import {
  type AlterConfigsCommand,
  type ConfigChange,
  decideAlterConfigs,
  decideIncrementalAlterConfigs,
  type ResourceOutcome,
} from './config-commands.ts'
import type { ConfigRules } from './config-rules.ts'
import type { Decision, Outcome } from './decision.ts'
import {
  decideBalanceLeaders,
  decideElectLeaderless,
  decideElectLeaders,
  type ElectLeadersAnswer,
  type ElectLeadersCommand,
  electionsAfterConfigs,
} from './elections.ts'
import { decideUpdateFeatures, type UpdateFeaturesCommand } from './feature-commands.ts'
import { MetadataDelta } from './metadata-delta.ts'
import { MetadataImage } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'
import {
  decideAlterReassignments,
  type ReassignmentsAnswer,
  type ReassignmentsCommand,
} from './reassignment.ts'
import { decideFailReplicas, type FailReplicasCommand } from './replica-failures.ts'
import { PlacementLoads } from './replica-placement.ts'
import {
  type CreatePartitionsCommand,
  type CreateTopicsCommand,
  decideCreatePartitions,
  decideCreateTopics,
  type PartitionsCreation,
  type TopicCreation,
} from './topic-commands.ts'
import {
  type DeleteTopicsCommand,
  decideDeleteTopics,
  type TopicDeletion,
} from './topic-deletion.ts'
import { collisionForm, hasCollisionCharacters } from './topic-name.ts'

/**
 * The controller's rules. Commands decide and change nothing; `apply` is the only thing that changes the state, with
 * the same code for a decision of a moment ago and for the log that is loaded after a change of controllers.
 *
 * Its image runs ahead of the brokers' images by what is decided and not yet committed, so that two commands of one
 * group commit see each other. When an append fails the machine is thrown away, and a new one is loaded from the log.
 */
export class ControllerMachine {
  readonly image: MetadataImage
  readonly #rules: ConfigRules
  /** Names with `.` or `_`: those that would be one name in metrics, by that name. Kept up by `apply`. */
  readonly #collisions = new Map<string, string>()
  /** Kept up by `apply`. */
  readonly #loads = new PlacementLoads()

  /** @param image all that is committed; it belongs to this machine from here on */
  constructor(rules: ConfigRules, image = new MetadataImage()) {
    this.#rules = rules
    this.image = image
    for (const { name, partitions } of image.topics.values()) {
      if (hasCollisionCharacters(name)) this.#collisions.set(collisionForm(name), name)
      for (const { replicas } of partitions) this.#loads.add(replicas)
    }
  }

  apply(record: MetadataRecord): void {
    if (record.kind === 'topic' && hasCollisionCharacters(record.name)) {
      this.#collisions.set(collisionForm(record.name), record.name)
    } else if (record.kind === 'removeTopic') {
      const name = this.image.topicById(record.topicId)?.name ?? ''
      if (this.#collisions.get(collisionForm(name)) === name) {
        this.#collisions.delete(collisionForm(name))
      }
    }
    this.#noteLoads(record)
    this.image.apply(record, new MetadataDelta())
  }

  /** Before the image has the record. */
  #noteLoads(record: MetadataRecord): void {
    if (record.kind !== 'partition' && record.kind !== 'removeTopic') return
    const partitions = this.image.topicById(record.topicId)?.partitions ?? []
    if (record.kind === 'removeTopic') {
      for (const { replicas } of partitions) this.#loads.remove(replicas)
      return
    }
    const before = partitions[record.partitionIndex]
    if (before) this.#loads.remove(before.replicas)
    this.#loads.add(record.replicas)
  }

  /**
   * The first records of a new log. A log that exists gets what it lacks: the secret.
   *
   * @param secret base64; '' writes none
   * @returns the id of the cluster that the log belongs to
   */
  bootstrap(
    clusterId: string,
    features: ReadonlyMap<string, number>,
    secret = '',
  ): Decision<string> {
    const records: MetadataRecord[] = []
    if (this.image.clusterSecret === '' && secret !== '') {
      records.push({ kind: 'clusterSecret', secret })
    }
    if (this.image.clusterId !== '') {
      return { answer: this.image.clusterId, records, effects: [] }
    }
    records.unshift({ kind: 'cluster', clusterId })
    for (const [name, level] of features) records.push({ kind: 'feature', name, level })
    const facts = { clusterId }
    return {
      answer: clusterId,
      records,
      effects: [{ kind: 'log', facts, message: 'new cluster' }],
    }
  }

  createTopics(command: CreateTopicsCommand): Decision<TopicCreation[]> {
    return decideCreateTopics(this.image, this.#rules, this.#collisions, this.#loads, command)
  }

  deleteTopics(command: DeleteTopicsCommand): Decision<TopicDeletion[]> {
    return decideDeleteTopics(this.image, command)
  }

  createPartitions(command: CreatePartitionsCommand): Decision<PartitionsCreation[]> {
    return decideCreatePartitions(this.image, this.#loads, command)
  }

  alterConfigs(
    command: AlterConfigsCommand<{ name: string; value: string | null }>,
  ): Decision<ResourceOutcome[]> {
    return this.#withElections(decideAlterConfigs(this.image, this.#rules, command))
  }

  incrementalAlterConfigs(command: AlterConfigsCommand<ConfigChange>): Decision<ResourceOutcome[]> {
    return this.#withElections(decideIncrementalAlterConfigs(this.image, this.#rules, command))
  }

  #withElections<Answer>(decision: Decision<Answer>): Decision<Answer> {
    const more = electionsAfterConfigs(this.image, this.#rules, decision.records)
    return more.length === 0 ? decision : { ...decision, records: [...decision.records, ...more] }
  }

  alterClientQuotas(command: AlterClientQuotasCommand): Decision<QuotaOutcome[]> {
    return decideAlterClientQuotas(this.image, command)
  }

  updateFeatures(command: UpdateFeaturesCommand): Decision<Outcome> {
    return decideUpdateFeatures(this.image, command)
  }

  registerBroker(registration: BrokerRegistration): Decision<RegistrationAnswer> {
    return decideRegisterBroker(this.image, this.#rules, registration)
  }

  changeBroker(change: BrokerChange): Decision<Outcome> {
    return decideChangeBroker(this.image, this.#rules, change)
  }

  fenceBrokers(runs: readonly BrokerRun[]): Decision<Outcome> {
    return decideFenceBrokers(this.image, this.#rules, runs)
  }

  unregisterBroker(brokerId: number): Decision<Outcome> {
    return decideUnregisterBroker(this.image, this.#rules, brokerId)
  }

  failReplicas(command: FailReplicasCommand): Decision<ErrorCode> {
    return decideFailReplicas(this.image, this.#rules, command)
  }

  alterPartition(command: AlterPartitionCommand): Decision<AlterPartitionAnswer> {
    return decideAlterPartition(this.image, this.#rules, command)
  }

  electLeaders(command: ElectLeadersCommand): Decision<ElectLeadersAnswer> {
    return decideElectLeaders(this.image, this.#rules, command)
  }

  /** @returns whether there may be more to do at once */
  electLeaderless(): Decision<boolean> {
    return decideElectLeaderless(this.image, this.#rules)
  }

  /** @returns whether there may be more to do at once */
  balanceLeaders(): Decision<boolean> {
    return decideBalanceLeaders(this.image, this.#rules)
  }

  alterReassignments(command: ReassignmentsCommand): Decision<ReassignmentsAnswer> {
    return decideAlterReassignments(this.image, this.#rules, command)
  }

  allocateProducerIds(broker: {
    brokerId: number
    brokerEpoch: number
  }): Decision<ProducerIdsAnswer> {
    return decideAllocateProducerIds(this.image, broker)
  }
}
