/**
 * What a broker that has others beside it does where nobody says otherwise. Weaker than everything that is given; the
 * README shows this list.
 */
export const clusterDefaults: readonly {
  readonly name: string
  readonly value: string
  readonly why: string
}[] = [
  {
    name: 'num.partitions',
    value: '3',
    why: 'New topics are spread over the brokers.',
  },
  {
    name: 'default.replication.factor',
    value: '2',
    why: 'A record outlives a broker. At most the number of brokers.',
  },
  {
    name: 'broker.heartbeat.interval.ms',
    value: '300',
    why: 'Five heartbeats fit into a session.',
  },
  {
    name: 'broker.session.timeout.ms',
    value: '1500',
    why: 'A broker that hangs is replaced after a second and a half instead of nine.',
  },
]
