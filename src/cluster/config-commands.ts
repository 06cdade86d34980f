import { changeList } from '../config/refusals.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ConfigRules } from './config-rules.ts'
import { type Decision, type Outcome, refuse } from './decision.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import type { MetadataRecord, RecordOf } from './metadata-records.ts'
import { refusalOfTopicName } from './topic-name.ts'

/** IncrementalAlterConfigs' operations. */
export const ConfigOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const

export type ConfigChange = {
  readonly name: string
  readonly configOperation: number
  readonly value: string | null
}

export type ResourceChange<Change> = {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly Change[]
}

export type AlterConfigsCommand<Change> = {
  readonly resources: readonly ResourceChange<Change>[]
  readonly validateOnly: boolean
  /** The broker that was asked: only its own settings may be changed through it. */
  readonly brokerId: number
}

export type ResourceOutcome = Outcome & {
  readonly resourceType: number
  readonly resourceName: string
}

/** Replaces the whole set of each resource (AlterConfigs, deprecated). A resource is changed as one or not at all. */
export function decideAlterConfigs(
  image: MetadataImage,
  rules: ConfigRules,
  command: AlterConfigsCommand<{ name: string; value: string | null }>,
): Decision<ResourceOutcome[]> {
  return decideEach(command, (resource) => {
    const refused =
      refusalOfResource(resource, command.brokerId) ??
      (resource.resourceType === ResourceType.BROKER_LOGGER
        ? refuse(ErrorCode.INVALID_REQUEST, 'Unknown resource type 8')
        : undefined)
    if (refused) return refused
    const values = new Map<string, string>()
    for (const { name, value } of resource.configs) values.set(name, value ?? '')
    return changeTo(image, rules, resource, values)
  })
}

/** Changes single settings (KIP-339). A resource is changed as one or not at all. */
export function decideIncrementalAlterConfigs(
  image: MetadataImage,
  rules: ConfigRules,
  command: AlterConfigsCommand<ConfigChange>,
): Decision<ResourceOutcome[]> {
  return decideEach(command, (resource) => {
    const refused = refusalOfResource(resource, command.brokerId)
    if (refused) return refused
    const values = new Map(image.configs(resource.resourceType, resource.resourceName))
    for (const change of resource.configs) {
      const wrong = changeOne(rules, resource.resourceType, change, values)
      if (wrong) return wrong
    }
    return changeTo(image, rules, resource, values)
  })
}

type Change = { readonly name: string; readonly value: string | null; configOperation?: number }

function decideEach<C extends Change>(
  command: AlterConfigsCommand<C>,
  decideOne: (resource: ResourceChange<C>) => Outcome | MetadataRecord[],
): Decision<ResourceOutcome[]> {
  const times = new Map<string, number>()
  const keyOf = (resource: ResourceChange<C>) => `${resource.resourceType}:${resource.resourceName}`
  for (const resource of command.resources) {
    times.set(keyOf(resource), (times.get(keyOf(resource)) ?? 0) + 1)
  }
  const records: MetadataRecord[] = []
  const effects: Decision<unknown>['effects'][number][] = []
  const answer = command.resources.map((resource): ResourceOutcome => {
    const { resourceType, resourceName } = resource
    const decided =
      times.get(keyOf(resource)) === 1
        ? decideOne(resource)
        : refuse(ErrorCode.INVALID_REQUEST, 'Each resource must appear at most once.')
    if (!Array.isArray(decided)) return { ...decided, resourceType, resourceName }
    if (!command.validateOnly && decided.length > 0) {
      records.push(...decided)
      const names = resource.configs.map(({ name }) => name)
      // Names only: a value may be a password.
      effects.push({
        kind: 'log',
        facts: { resourceType, resourceName, names },
        message: 'settings changed',
      })
    }
    return { errorCode: ErrorCode.NONE, errorMessage: null, resourceType, resourceName }
  })
  return { answer, records, effects }
}

/** What can be said before the values are looked at (ConfigAdminManager.scala). */
function refusalOfResource<C extends Change>(
  { resourceType, resourceName, configs }: ResourceChange<C>,
  brokerId: number,
): Outcome | undefined {
  const names = new Set(configs.map(({ name }) => name))
  if (names.size < configs.length) {
    return refuse(ErrorCode.INVALID_REQUEST, 'Error due to duplicate config keys')
  }
  const nulls = configs.filter(
    ({ value, configOperation }) => value === null && configOperation !== ConfigOperation.DELETE,
  )
  if (nulls.length > 0) {
    const list = nulls.map(({ name }) => name).join(', ')
    return refuse(ErrorCode.INVALID_REQUEST, `Null value not supported for : ${list}`)
  }
  switch (resourceType) {
    case ResourceType.TOPIC:
    case ResourceType.CLIENT_METRICS:
    case ResourceType.GROUP:
      return undefined
    case ResourceType.BROKER:
      return resourceName === '' ? undefined : refusalOfBrokerName(resourceName, brokerId, 'broker')
    case ResourceType.BROKER_LOGGER:
      return refusalOfBrokerName(resourceName, brokerId, 'node')
    default:
      return refuse(ErrorCode.INVALID_REQUEST, `Unknown resource type ${resourceType}`)
  }
}

function refusalOfBrokerName(
  name: string,
  brokerId: number,
  word: 'broker' | 'node',
): Outcome | undefined {
  if (!/^[+-]?\d{1,10}$/.test(name) || Number(name) !== (Number(name) | 0)) {
    return refuse(ErrorCode.INVALID_REQUEST, `Node id must be an integer, but it is: ${name}`)
  }
  if (Number(name) === brokerId) return undefined
  return refuse(
    ErrorCode.INVALID_REQUEST,
    word === 'broker'
      ? `Unexpected broker id, expected ${brokerId}, but received ${name}`
      : `Unexpected node id. Expected ${brokerId}, but received ${name}`,
  )
}

/** Applies one operation to `values`. */
function changeOne(
  rules: ConfigRules,
  resourceType: number,
  { name, configOperation, value }: ConfigChange,
  values: Map<string, string>,
): Outcome | undefined {
  switch (configOperation) {
    case ConfigOperation.SET:
      values.set(name, value ?? '')
      return undefined
    case ConfigOperation.DELETE:
      values.delete(name)
      return undefined
    case ConfigOperation.APPEND:
    case ConfigOperation.SUBTRACT: {
      const operation = configOperation === ConfigOperation.APPEND ? 'append' : 'subtract'
      if (!rules.isList(resourceType, name)) {
        return refuse(
          ErrorCode.INVALID_CONFIG,
          resourceType === ResourceType.BROKER
            ? `Config value ${operation} is not allowed for config key: ${name}`
            : `Can't ${operation.toUpperCase()} to key ${name} because its type is not LIST.`,
        )
      }
      const current = values.get(name) ?? rules.defaultText(resourceType, name)
      values.set(name, changeList(operation, current, value ?? ''))
      return undefined
    }
    default:
      return refuse(ErrorCode.INVALID_REQUEST, `Unknown operations type ${configOperation}`)
  }
}

/** The records that lead a resource to `values`, or why it must not get there. */
function changeTo(
  image: MetadataImage,
  rules: ConfigRules,
  { resourceType, resourceName, configs }: ResourceChange<Change>,
  values: ReadonlyMap<string, string>,
): Outcome | MetadataRecord[] {
  if (resourceType === ResourceType.BROKER_LOGGER) {
    const [first] = configs
    return first ? refuse(ErrorCode.INVALID_CONFIG, `Logger ${first.name} does not exist!`) : []
  }
  const nameless = refusalOfResourceName(resourceType, resourceName)
  if (nameless) return nameless
  const refusal = rules.refusalOf(resourceType, resourceName, values)
  if (refusal) return refuse(ErrorCode[refusal.errorName], refusal.reason)
  if (resourceType === ResourceType.TOPIC && !image.topics.has(resourceName)) {
    return refuse(
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      `The topic '${resourceName}' does not exist.`,
    )
  }
  const records = configRecords(image, resourceType, resourceName, values)
  return refusalOfCommonSettings(image, records) ?? records
}

/** The controller and every leader must agree on how many members may commit (KIP-966): only the cluster says so. */
function refusalOfCommonSettings(
  image: MetadataImage,
  records: readonly RecordOf<'config'>[],
): Outcome | undefined {
  const change = records.find(
    ({ resourceType, name }) =>
      resourceType === ResourceType.BROKER && name === 'min.insync.replicas',
  )
  if (!change) return undefined
  const refused = (what: string) =>
    refuse(ErrorCode.INVALID_CONFIG, `${what} while ELR is enabled.`)
  if (change.resourceName !== '') {
    return refused('Broker-level min.insync.replicas cannot be altered')
  }
  if (change.value === null && image.brokers.size > 1) {
    return refused('Cluster-level min.insync.replicas cannot be removed')
  }
  return undefined
}

function refusalOfResourceName(resourceType: number, resourceName: string): Outcome | undefined {
  if (resourceType === ResourceType.TOPIC) {
    if (resourceName === '') {
      return refuse(ErrorCode.INVALID_REQUEST, 'Default topic resources are not allowed.')
    }
    const refusal = refusalOfTopicName(resourceName)
    return refusal === undefined ? undefined : refuse(ErrorCode.INVALID_TOPIC_EXCEPTION, refusal)
  }
  if (resourceName !== '') return undefined
  if (resourceType === ResourceType.GROUP) {
    return refuse(ErrorCode.INVALID_REQUEST, 'Default group resources are not allowed.')
  }
  if (resourceType === ResourceType.CLIENT_METRICS) {
    return refuse(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
  }
  return undefined
}

/** One record for each setting that differs from what the resource has now. */
export function configRecords(
  image: MetadataImage,
  resourceType: number,
  resourceName: string,
  values: ReadonlyMap<string, string>,
): RecordOf<'config'>[] {
  const records: RecordOf<'config'>[] = []
  const before = image.configs(resourceType, resourceName)
  const resource = { kind: 'config', resourceType, resourceName } as const
  for (const [name, value] of values) {
    if (before.get(name) !== value) records.push({ ...resource, name, value })
  }
  for (const name of before.keys()) {
    if (!values.has(name)) records.push({ ...resource, name, value: null })
  }
  return records
}
