import { describeUserScramCredentials } from '../../protocol/apis/50-describe-user-scram-credentials.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/**
 * There are no credentials while SASL is not served, so nobody has any. Answered because kafka-configs asks for them
 * together with the quotas of users.
 */
export const describeUserScramCredentialsHandler = defineHandler({
  api: describeUserScramCredentials,
  versions: '0',
  requires: 'DESCRIBE cluster',
  serve: ({ users }) => {
    const times = new Map<string, number>()
    for (const { name } of users ?? []) times.set(name, (times.get(name) ?? 0) + 1)
    const results = [...times].map(([user, count]) => ({
      user,
      errorCode: count > 1 ? ErrorCode.DUPLICATE_RESOURCE : ErrorCode.RESOURCE_NOT_FOUND,
      errorMessage:
        count > 1
          ? `Cannot describe SCRAM credentials for the same user twice in a single request: ${user}`
          : `Attempt to describe a user credential that does not exist: ${user}`,
      credentialInfos: [],
    }))
    return { errorCode: ErrorCode.NONE, errorMessage: '', results }
  },
  refuse: (_request, errorCode) => ({ errorCode, errorMessage: null, results: [] }),
})
