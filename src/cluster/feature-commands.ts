import { ErrorCode } from '../protocol/error-code.ts'
import { type Decision, type Outcome, refuse } from './decision.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'

/** A feature that brokers of this version can work with, and the levels of it; both inclusive. */
export type SupportedFeature = {
  readonly name: string
  readonly minVersion: number
  readonly maxVersion: number
}

export const METADATA_VERSION = 'metadata.version'

/**
 * The feature levels that this version can work with. metadata.version tells clients and tools the age of the cluster
 * (30 = 4.3). group.version, transaction.version, share.version and streams.version join when their APIs do, because
 * clients switch protocols by them; kraft.version is about voters of a Raft quorum, which there is not.
 */
export const supportedFeatures: readonly SupportedFeature[] = [
  { name: METADATA_VERSION, minVersion: 7, maxVersion: 30 },
]

/** Features of Kafka 4.3 that are not served: what they are is known, so that they can be switched off. */
const otherFeatures: ReadonlySet<string> = new Set([
  'eligible.leader.replicas.version',
  'group.version',
  'kraft.version',
  'share.version',
  'streams.version',
  'transaction.version',
])

/** UpdateFeatures' kinds of change. */
export const FeatureUpgradeType = { UPGRADE: 1, SAFE_DOWNGRADE: 2, UNSAFE_DOWNGRADE: 3 } as const

export type FeatureUpdate = {
  readonly feature: string
  /** 0 takes the feature back. */
  readonly maxVersionLevel: number
  readonly upgradeType: number
}

export type UpdateFeaturesCommand = {
  readonly updates: readonly FeatureUpdate[]
  readonly validateOnly: boolean
  /** The controller's: it stands in Kafka's sentences. */
  readonly brokerId: number
}

/**
 * Raises or lowers finalized levels (KIP-584, KIP-778): all updates or none. A feature that is named twice gets the last
 * level, as in Kafka.
 */
export function decideUpdateFeatures(
  image: MetadataImage,
  { updates, validateOnly, brokerId }: UpdateFeaturesCommand,
): Decision<Outcome> {
  const last = new Map(updates.map((update) => [update.feature, update]))
  const records: MetadataRecord[] = []
  for (const update of last.values()) {
    const refusal = refusalOf(image, update, brokerId)
    if (refusal !== undefined) {
      const answer = refuse(
        ErrorCode.INVALID_UPDATE_VERSION,
        `The update failed for all features since the following feature had an error: ${refusal}`,
      )
      return { answer, records: [], effects: [] }
    }
    const { feature: name, maxVersionLevel: level } = update
    if (level !== levelOf(image, name)) records.push({ kind: 'feature', name, level })
  }
  const answer = refuse(ErrorCode.NONE, null)
  if (validateOnly || records.length === 0) return { answer, records: [], effects: [] }
  const facts = { levels: records }
  return { answer, records, effects: [{ kind: 'log', facts, message: 'feature levels changed' }] }
}

const levelOf = (image: MetadataImage, feature: string): number => image.features.get(feature) ?? 0

/** @returns why an update cannot be, in Kafka's words (FeatureControlManager); undefined when it can */
function refusalOf(
  image: MetadataImage,
  { feature, maxVersionLevel: level, upgradeType }: FeatureUpdate,
  brokerId: number,
): string | undefined {
  const invalid = (reason: string) =>
    `Invalid update version ${level} for feature ${feature}. ${reason}`
  const { UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE } = FeatureUpgradeType
  if (![UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE].some((type) => type === upgradeType)) {
    return invalid('The controller does not support the given upgrade type.')
  }
  if (level < 0) return invalid('A feature version cannot be less than 0.')
  const unsupported = reasonNotSupported(feature, level, brokerId)
  if (unsupported !== undefined) return invalid(unsupported)

  const now = levelOf(image, feature)
  if (level < now && upgradeType === UPGRADE) {
    return invalid(
      "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
    )
  }
  if (level > now && upgradeType !== UPGRADE) return invalid("Can't downgrade to a newer version.")
  if (feature !== METADATA_VERSION || level >= now) return undefined
  return `Unsupported metadata.version downgrade from ${now} to ${level}. ${
    upgradeType === UNSAFE_DOWNGRADE
      ? 'Unsafe metadata downgrade is not supported in this version.'
      : 'Refusing to perform the requested downgrade because it might delete metadata information.'
  }`
}

function reasonNotSupported(feature: string, level: number, brokerId: number): string | undefined {
  const supported = supportedFeatures.find(({ name }) => name === feature)
  if (supported === undefined) {
    if (level === 0) {
      return otherFeatures.has(feature) ? undefined : `Feature ${feature} not found.`
    }
    return `Local controller ${brokerId} does not support this feature.`
  }
  const { minVersion, maxVersion } = supported
  if (level >= minVersion && level <= maxVersion) return undefined
  return `Local controller ${brokerId} only supports versions ${minVersion}-${maxVersion}`
}
