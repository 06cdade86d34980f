// Goal: levels go up and down only as this version can work with. What Kafka answers to the same stands in
// test/golden/broker-answers.txt.
import t from 'tap'
import { decideUpdateFeatures } from '../../../src/cluster/feature-commands.ts'
import { MetadataDelta } from '../../../src/cluster/metadata-delta.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import { errorName } from '../../../src/protocol/error-code.ts'

const UPGRADE = 1
const SAFE_DOWNGRADE = 2

function cluster(level: number) {
  const image = new MetadataImage()
  image.apply({ kind: 'feature', name: 'metadata.version', level }, new MetadataDelta())
  const update = (
    updates: [feature: string, level: number, upgradeType?: number][],
    validateOnly = false,
  ) => {
    const { answer, records } = decideUpdateFeatures(image, {
      updates: updates.map(([feature, maxVersionLevel, upgradeType = UPGRADE]) => ({
        feature,
        maxVersionLevel,
        upgradeType,
      })),
      validateOnly,
      brokerId: 7,
    })
    for (const record of records) image.apply(record, new MetadataDelta())
    return answer.errorMessage?.split('error: ')[1] ?? errorName(answer.errorCode)
  }
  return { image, update }
}

t.test('an older cluster is raised, once', async (t) => {
  const { image, update } = cluster(25)
  t.equal(update([['metadata.version', 30]], true), 'NONE')
  t.equal(image.features.get('metadata.version'), 25)
  t.equal(update([['metadata.version', 30]]), 'NONE')
  t.equal(image.features.get('metadata.version'), 30)
  t.equal(update([['metadata.version', 30]]), 'NONE')
  t.match(update([['metadata.version', 29, SAFE_DOWNGRADE]]), /Refusing to perform/)
  t.equal(image.features.get('metadata.version'), 30)
})

t.test('all or nothing', async (t) => {
  const { image, update } = cluster(25)
  t.equal(
    update([
      ['metadata.version', 26],
      ['share.version', 1],
    ]),
    'Invalid update version 1 for feature share.version. Local controller 7 does not support this feature.',
  )
  t.equal(image.features.get('metadata.version'), 25)
})

t.test('what is not served can be switched off, what is not known cannot', async (t) => {
  const { update } = cluster(30)
  for (const name of ['group', 'kraft', 'share', 'streams', 'transaction']) {
    t.equal(update([[`${name}.version`, 0, SAFE_DOWNGRADE]]), 'NONE')
    t.match(update([[`${name}.version`, 1]]), /does not support this feature/)
  }
  t.match(update([['no.such', 0, SAFE_DOWNGRADE]]), /Feature no.such not found/)
})
