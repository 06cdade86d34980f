import { array, bytes, defineApi, errorCode, int32, int64, string } from '../schema.ts'

/**
 * Lists delegation tokens by owner (KIP-48).
 *
 * Added: v2 compact form; v3 who asked for them (KIP-373).
 *
 * Not served yet.
 */
export const describeDelegationToken = defineApi({
  key: 41,
  name: 'DescribeDelegationToken',
  versions: '0-3',
  flexible: '2+',
  request: {
    owners: array(
      '0+',
      {
        principalType: string('0+'),
        principalName: string('0+'),
      },
      { nullable: '0+' },
    ),
  },
  response: {
    errorCode: errorCode('0+'),
    tokens: array('0+', {
      principalType: string('0+'),
      principalName: string('0+'),
      tokenRequesterPrincipalType: string('3+'),
      tokenRequesterPrincipalName: string('3+'),
      issueTimestamp: int64('0+'),
      expiryTimestamp: int64('0+'),
      maxTimestamp: int64('0+'),
      tokenId: string('0+'),
      hmac: bytes('0+'),
      renewers: array('0+', {
        principalType: string('0+'),
        principalName: string('0+'),
      }),
    }),
    throttleTimeMs: int32('0+', { default: 0 }),
  },
})
