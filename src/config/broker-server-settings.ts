import { bool, bytes, duration, INT_MAX, int, list, long, oneOf, string } from './setting.ts'

/** The server: listeners, connections, requests, replication. Names, types, defaults, bounds and update modes are Kafka 4.3's. */
export const serverSettings = {
  'advertised.listeners': list({
    default: null,
    about:
      'Addresses that clients are told to connect to, one per listener. Unset: those of listeners.',
  }),
  'authorizer.class.name': string({
    default: '',
    about: 'Java class of the authorizer. None can be loaded: a name here stops the start.',
  }),
  'auto.leader.rebalance.enable': bool({
    default: true,
    about: 'Whether the controller moves leaders back to the preferred replica by itself.',
  }),
  'background.threads': int({
    default: 10,
    min: 1,
    update: 'cluster-wide',
    used: false,
    about: 'Threads for background work. There is one event loop here.',
  }),
  'broker.id': int({ default: -1, about: 'Number of this broker; node.id goes before it.' }),
  'broker.rack': string({
    default: null,
    about: 'Failure domain of this broker, told to clients in Metadata.',
  }),
  'compression.gzip.level': int({
    default: -1,
    min: 1,
    max: 9,
    or: -1,
    update: 'cluster-wide',
    about: 'gzip level when the broker compresses, for topics that do not say.',
  }),
  'compression.lz4.level': int({
    default: 9,
    min: 1,
    max: 17,
    update: 'cluster-wide',
    used: false,
    about:
      'lz4 level when the broker compresses, for topics that do not say. No effect here: the lz4 library has one level.',
  }),
  'compression.type': oneOf(['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'], {
    default: 'producer',
    update: 'cluster-wide',
    about:
      'Codec of stored batches, for topics that do not say. producer keeps what the client sent.',
  }),
  'compression.zstd.level': int({
    default: 3,
    min: -131_072,
    max: 22,
    update: 'cluster-wide',
    about: 'zstd level when the broker compresses, for topics that do not say.',
  }),
  'config.providers': list({
    default: [],
    update: 'cluster-wide',
    used: false,
    about: 'Java classes that resolve placeholders in values.',
  }),
  'connection.failed.authentication.delay.ms': duration({
    type: 'int',
    default: 100,
    min: 0,
    used: false,
    about: 'Pause before a connection whose authentication failed is closed.',
  }),
  'connections.max.idle.ms': duration({
    default: 600_000,
    about: 'Idle time after which a connection is closed. -1: never.',
  }),
  'controlled.shutdown.enable': bool({
    default: true,
    used: false,
    about: 'Whether leaders move away before a broker stops.',
  }),
  'controller.socket.timeout.ms': duration({
    type: 'int',
    default: 30_000,
    used: false,
    about: 'Time-out of connections to the controller.',
  }),
  'default.replication.factor': int({
    default: 1,
    about: 'Replicas of topics created automatically or with -1.',
  }),
  'delete.records.purgatory.purge.interval.requests': int({
    default: 1,
    used: false,
    about: "Purge interval of Kafka's purgatory for DeleteRecords.",
  }),
  'delete.topic.enable': bool({ default: true, about: 'Whether topics may be deleted.' }),
  'early.start.listeners': list({
    default: null,
    used: false,
    about: 'Listeners opened before the others.',
  }),
  'fetch.max.bytes': bytes({
    type: 'int',
    default: 57_671_680,
    min: 1024,
    about: 'Most bytes in one Fetch answer, whatever the client asks for.',
  }),
  'fetch.purgatory.purge.interval.requests': int({
    default: 1000,
    used: false,
    about: "Purge interval of Kafka's purgatory for Fetch.",
  }),
  'follower.fetch.last.tiered.offset.enable': bool({
    default: false,
    update: 'cluster-wide',
    used: false,
    about: 'Whether a new follower starts at the last tiered offset.',
  }),
  'inter.broker.listener.name': string({
    default: null,
    about:
      'Listener over which brokers talk to one another. Unset: the one of security.inter.broker.protocol.',
  }),
  'leader.imbalance.check.interval.seconds': long({
    default: 300,
    min: 1,
    about: 'Time between two looks for leaders that are not on the preferred replica.',
  }),
  'listener.security.protocol.map': string({
    default: 'SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT',
    update: 'per-broker',
    about: 'Security protocol of each listener name. Only PLAINTEXT is served now.',
  }),
  listeners: list({
    default: ['PLAINTEXT://:9092'],
    notEmpty: true,
    update: 'per-broker',
    about:
      'Addresses to listen on: NAME://host:port, separated by commas. Port 0 takes a free one; an empty host is every address.',
  }),
  'max.connection.creation.rate': int({
    default: INT_MAX,
    min: 0,
    update: 'cluster-wide',
    about: 'New connections a second.',
  }),
  'max.connections': int({
    default: INT_MAX,
    min: 0,
    update: 'cluster-wide',
    about: 'Most open connections of this broker.',
  }),
  'max.connections.per.ip': int({
    default: INT_MAX,
    min: 0,
    update: 'cluster-wide',
    about: 'Most open connections from one address.',
  }),
  'max.connections.per.ip.overrides': string({
    default: '',
    update: 'cluster-wide',
    about: 'Other limits for some addresses: address:number, separated by commas.',
  }),
  'max.incremental.fetch.session.cache.slots': int({
    default: 1000,
    min: 0,
    about: 'Most fetch sessions kept.',
  }),
  'max.request.partition.size.limit': int({
    default: 2000,
    min: 1,
    about: 'Most partitions in one request for partitions of topics.',
  }),
  'message.max.bytes': bytes({
    type: 'int',
    default: 1_048_588,
    min: 0,
    update: 'cluster-wide',
    about: 'Largest batch accepted, compressed and with its header, for topics that do not say.',
  }),
  'num.io.threads': int({
    default: 8,
    min: 1,
    update: 'cluster-wide',
    used: false,
    about: 'Request threads. There is one event loop here.',
  }),
  'num.network.threads': int({
    default: 3,
    min: 1,
    update: 'cluster-wide',
    used: false,
    about: 'Network threads. There is one event loop here.',
  }),
  'num.replica.alter.log.dirs.threads': int({
    default: null,
    used: false,
    about: 'Threads that move replicas between log directories.',
  }),
  'num.replica.fetchers': int({
    default: 1,
    min: 1,
    update: 'cluster-wide',
    used: false,
    about:
      'Threads that fetch from each leader that this broker follows. Fetching needs none here.',
  }),
  'producer.purgatory.purge.interval.requests': int({
    default: 1000,
    used: false,
    about: "Purge interval of Kafka's purgatory for Produce.",
  }),
  'queued.max.request.bytes': bytes({
    default: -1,
    about:
      'Memory for requests that were read and not yet answered. Sockets are not read above it. -1: lmq.memory.budget.bytes.',
  }),
  'queued.max.requests': int({
    default: 500,
    min: 1,
    used: false,
    about:
      'Requests that may wait for a thread. Here queued.max.request.bytes bounds waiting requests.',
  }),
  'replica.fetch.backoff.ms': duration({
    type: 'int',
    default: 1000,
    min: 0,
    about: 'Pause of a follower after a failed fetch.',
  }),
  'replica.fetch.max.bytes': bytes({
    type: 'int',
    default: 1_048_576,
    min: 0,
    about: 'Bytes of a partition in one fetch of a follower.',
  }),
  'replica.fetch.min.bytes': bytes({
    type: 'int',
    default: 1,
    about: "Bytes for which a follower's fetch waits.",
  }),
  'replica.fetch.response.max.bytes': bytes({
    type: 'int',
    default: 10_485_760,
    min: 0,
    about: 'Bytes of one answer to a follower.',
  }),
  'replica.fetch.wait.max.ms': duration({
    type: 'int',
    default: 500,
    about: "Longest wait of a follower's fetch.",
  }),
  'replica.high.watermark.checkpoint.interval.ms': duration({
    default: 5000,
    about: 'Time between two writes of the high watermarks.',
  }),
  'replica.lag.time.max.ms': duration({
    default: 30_000,
    about: 'Time without catching up after which a follower leaves the in-sync replicas.',
  }),
  'replica.selector.class': string({
    default: null,
    about:
      'RackAwareReplicaSelector (with or without its package) sends consumers to a replica in their rack. Other classes cannot be loaded here.',
  }),
  'replica.socket.receive.buffer.bytes': bytes({
    type: 'int',
    default: 65_536,
    used: false,
    about: "Receive buffer of a follower's connection.",
  }),
  'replica.socket.timeout.ms': duration({
    type: 'int',
    default: 30_000,
    about: "Time-out of a follower's requests.",
  }),
  'request.timeout.ms': duration({
    type: 'int',
    default: 30_000,
    used: false,
    about: 'Time-out of requests between brokers.',
  }),
  'security.inter.broker.protocol': oneOf(['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'], {
    default: 'PLAINTEXT',
    about: 'Security protocol between brokers when inter.broker.listener.name is not set.',
  }),
  'socket.connection.setup.timeout.max.ms': duration({
    default: 30_000,
    used: false,
    about: 'Longest time for a connection to another broker to stand.',
  }),
  'socket.connection.setup.timeout.ms': duration({
    default: 10_000,
    used: false,
    about: 'First time-out for a connection to another broker.',
  }),
  'socket.listen.backlog.size': int({
    default: 50,
    min: 1,
    about: 'Connections that the system queues before they are taken.',
  }),
  'socket.receive.buffer.bytes': bytes({
    type: 'int',
    default: 102_400,
    used: false,
    about: 'Receive buffer of a connection. The system chooses it here.',
  }),
  'socket.request.max.bytes': bytes({
    type: 'int',
    default: 104_857_600,
    min: 1,
    about: 'Largest request frame. A larger one closes the connection.',
  }),
  'socket.send.buffer.bytes': bytes({
    type: 'int',
    default: 102_400,
    used: false,
    about: 'Send buffer of a connection. The system chooses it here.',
  }),
  'unclean.leader.election.enable': bool({
    default: false,
    update: 'cluster-wide',
    about: 'Whether a replica outside the in-sync set may lead, for topics that do not say.',
  }),
} as const
