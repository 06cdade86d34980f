import { FeatureUpgradeType } from '../../cluster/feature-commands.ts'
import { updateFeatures } from '../../protocol/apis/57-update-features.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** Raises or lowers finalized feature levels: all that are named or none, so one code on top tells the outcome. */
export const updateFeaturesHandler = defineHandler({
  api: updateFeatures,
  versions: '0-2',
  requires: 'ALTER cluster',
  forwards: true,
  serve: async ({ featureUpdates, validateOnly }, { apiVersion, services }) => {
    const { UPGRADE, SAFE_DOWNGRADE } = FeatureUpgradeType
    const updates = featureUpdates.map(
      ({ feature, maxVersionLevel, allowDowngrade, upgradeType }) => ({
        feature,
        maxVersionLevel,
        upgradeType:
          apiVersion >= 1 ? upgradeType : allowDowngrade === true ? SAFE_DOWNGRADE : UPGRADE,
      }),
    )
    const outcome = await services.controller.updateFeatures({ updates, validateOnly })
    const { errorCode } = outcome
    if (errorCode !== ErrorCode.NONE) return { ...outcome, results: [] }
    // The sentence of success is Kafka's.
    const results = updates.map(({ feature }) => ({ feature, errorCode, errorMessage: 'NONE' }))
    return { ...outcome, results: apiVersion <= 1 ? results : [] }
  },
  refuse: (_request, errorCode) => ({ errorCode, errorMessage: null, results: [] }),
})
