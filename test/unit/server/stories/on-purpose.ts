/** Why LMQ does not answer as Apache Kafka 4.3.1 does: one reason for every difference, with the lines it stands for. */
export const onPurpose: readonly { story: RegExp; line: RegExp; why: string }[] = [
  {
    story: /^produce at every version$/,
    line: /"errorCode":87/,
    why: 'no records at all: Kafka fails inside and never answers',
  },
  {
    story: /^a partition more than once$/,
    line: /^/,
    why: 'Kafka keeps only the last batch of a partition that a request names twice',
  },
  {
    story: /^batches that are judged otherwise$/,
    line: /^(and \d+ bytes|length too small|offset delta wrong) /,
    why: 'stricter: nothing behind the one batch, offset deltas of uncompressed records ascend by one',
  },
  {
    story: /^batches that are judged otherwise$|^recompression$/,
    line: /"errorCode":87/,
    why: 'INVALID_RECORD where Kafka says UNKNOWN_SERVER_ERROR',
  },
  {
    story: /^limits of bytes$/,
    line: /^Fetch v12/,
    why: 'batches are sent whole; a negative limit counts as 0 where Kafka says UNKNOWN_SERVER_ERROR',
  },
  {
    story: /^delete records$/,
    line: /^ListOffsets v7/,
    why: 'Kafka still names the newest record after it was deleted',
  },
  {
    story: /^create topics|^configs of topics$/,
    line: /"name":"min.insync.replicas"/,
    why: 'Kafka sets min.insync.replicas for the cluster when it formats its metadata',
  },
  {
    story: /^configs of topics$/,
    line: /Unsupported resource type/,
    why: 'says what is wrong',
  },
  {
    story: /^configs of brokers$|^sources of a setting$/,
    line: /^DescribeConfigs/,
    why: 'Kafka sets min.insync.replicas when it formats its metadata; no initial rebalance delay by default',
  },
  {
    story: /^configs changed one by one$/,
    line: /^operation (4|-1) /,
    why: 'INVALID_REQUEST where Kafka says UNKNOWN_SERVER_ERROR',
  },
  {
    story: /^configs changed one by one$/,
    line: /^broker only /,
    why: 'listeners cannot be changed without a restart',
  },
  {
    story: /^configs replaced$/,
    line: /^AlterConfigs twice /,
    why: 'Kafka fails inside and never answers',
  },
  {
    story: /^coordinators$/,
    line: /^type 1 .*"errorCode":(53|35)/,
    why: 'no transactions yet: final for every client',
  },
  {
    story: /^coordinators$/,
    line: /this broker knows no coordinators of this type/,
    why: 'says what is wrong',
  },
  {
    story: /^garbage$/,
    line: /^FindCoordinator v3, tags out of order: closed$/,
    why: 'stricter: tags ascend',
  },
  {
    story: /^garbage$/,
    line: /^FindCoordinator v3, (unknown|header) tags: answered 000000070000000000002a/,
    why: 'says what is wrong',
  },
  {
    story: /^metadata at every version$/,
    line: /"errorCode":17/,
    why: 'INVALID_TOPIC_EXCEPTION for that topic where Kafka fails the whole request',
  },
  {
    story: /^partitions added$/,
    line: /^100000 .*"errorCode":44/,
    why: 'POLICY_VIOLATION where Kafka says UNKNOWN_SERVER_ERROR',
  },
  {
    story: /^topic partitions$/,
    line: /"errorCode":17/,
    why: 'INVALID_TOPIC_EXCEPTION for that topic where Kafka fails the whole request',
  },
  {
    story: /^topics made by asking$/,
    line: /^Metadata v\d+: .*"errorCode":0/,
    why: 'the answer waits for the topic, so that no client has to ask again',
  },
  {
    story: /^features updated$/,
    line: /^UpdateFeatures two bad /,
    why: 'the first of the wrong updates is told',
  },
  {
    story: /^features updated$/,
    line: /^UpdateFeatures (kraft.version|transaction|group|share|streams|eligible.leader.replicas) \d/,
    why: 'metadata.version only: what the other features switch on is not served',
  },
  {
    story: /^quotas refused$/,
    line: /^AlterClientQuotas NaN bytes .*"errorCode":42/,
    why: 'a quota is a number',
  },
  {
    story: /^telemetry pushed$/,
    line: /^PushTelemetry no OTLP .*"errorCode":87/,
    why: 'this broker reads what is pushed; Kafka leaves it to plugins, of which there was none',
  },
]
