/** Settings of older Kafka releases, and internal ones of this one: known, and without meaning here. */
const retired = new Set([
  'auto.include.jmx.reporter',
  'broker.id.generation.enable',
  'control.plane.listener.name',
  'controlled.shutdown.max.retries',
  'controlled.shutdown.retry.backoff.ms',
  'delegation.token.master.key',
  'eligible.leader.replicas.enable',
  'group.coordinator.new.enable',
  'group.share.enable',
  'group.share.max.groups',
  'inter.broker.protocol.version',
  'leader.imbalance.per.broker.percentage',
  'log.initial.task.delay.ms',
  'log.message.downconversion.enable',
  'log.message.format.version',
  'log.message.timestamp.difference.max.ms',
  'metadata.log.segment.min.bytes',
  'offsets.commit.required.acks',
  'reserved.broker.max.id',
  'server.max.startup.time.ms',
  'unclean.leader.election.interval.ms',
  'unstable.api.versions.enable',
  'unstable.feature.versions.enable',
])

/** Read by Kafka's own authorizer, and by nothing where there is none. */
const ofAuthorizer = new Set(['allow.everyone.if.no.acl.found', 'super.users'])

const retiredPrefixes = ['zookeeper.', 'password.encoder.', 'confluent.']

export const isRetiredSetting = (name: string): boolean =>
  retired.has(name) ||
  ofAuthorizer.has(name) ||
  retiredPrefixes.some((prefix) => name.startsWith(prefix))
