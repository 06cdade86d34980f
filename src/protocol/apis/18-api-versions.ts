import { array, bool, defineApi, errorCode, int16, int32, int64, string } from '../schema.ts'

/**
 * Which APIs and versions a broker serves, and the cluster's features. The first request of most clients. Its answer
 * has the oldest header in every version, and one to an unknown version is in v0, since the client cannot know yet
 * what this broker speaks (KIP-511).
 *
 * Added: v1 throttle time; v3 compact form, the client's name and version (KIP-511), features (KIP-584); v4 features
 * with a minimum of 0 (KIP-1022).
 */
export const apiVersions = defineApi({
  key: 18,
  name: 'ApiVersions',
  versions: '0-4',
  flexible: '3+',
  request: {
    clientSoftwareName: string('3+', { ignorable: true }),
    clientSoftwareVersion: string('3+', { ignorable: true }),
  },
  response: {
    errorCode: errorCode('0+'),
    apiKeys: array('0+', {
      apiKey: int16('0+'),
      minVersion: int16('0+'),
      maxVersion: int16('0+'),
    }),
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    supportedFeatures: array(
      '3+',
      {
        name: string('3+'),
        minVersion: int16('3+'),
        maxVersion: int16('3+'),
      },
      { tag: 0, ignorable: true },
    ),
    finalizedFeaturesEpoch: int64('3+', { tag: 1, default: -1, ignorable: true }),
    finalizedFeatures: array(
      '3+',
      {
        name: string('3+'),
        maxVersionLevel: int16('3+'),
        minVersionLevel: int16('3+'),
      },
      { tag: 2, ignorable: true },
    ),
    zkMigrationReady: bool('3+', { tag: 3, default: false, ignorable: true }),
  },
})
