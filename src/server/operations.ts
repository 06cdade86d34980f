/** ACL operations as the bits of AuthorizedOperations fields: bit n stands for operation n (KIP-430). */
const operation = {
  read: 1 << 3,
  write: 1 << 4,
  create: 1 << 5,
  delete: 1 << 6,
  alter: 1 << 7,
  describe: 1 << 8,
  clusterAction: 1 << 9,
  describeConfigs: 1 << 10,
  alterConfigs: 1 << 11,
  idempotentWrite: 1 << 12,
} as const

/** Without an authorizer everybody may do everything that applies to the resource (AclEntry.java). */
export const allTopicOperations =
  operation.read |
  operation.write |
  operation.create |
  operation.delete |
  operation.alter |
  operation.describe |
  operation.describeConfigs |
  operation.alterConfigs

export const allClusterOperations =
  operation.create |
  operation.alter |
  operation.describe |
  operation.clusterAction |
  operation.describeConfigs |
  operation.alterConfigs |
  operation.idempotentWrite

export const allGroupOperations = operation.read | operation.describe | operation.delete
