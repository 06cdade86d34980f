// Kafka's own commands against a cluster, all of them in one JVM: see test/compat/java/Tool.java.
import { startDriver } from '../compat/harness/client-drivers.ts'
import type { Driver } from '../compat/harness/driver.ts'

const mains = {
  configs: 'kafka.admin.ConfigCommand',
  election: 'org.apache.kafka.tools.LeaderElectionCommand',
  quorum: 'org.apache.kafka.tools.MetadataQuorumCommand',
  reassign: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  topics: 'org.apache.kafka.tools.TopicCommand',
} as const

export type Printed = {
  readonly status: number
  readonly printed: string
  readonly complained: string
}

export class KafkaTools {
  readonly #driver: Driver
  readonly #bootstrap: string

  private constructor(driver: Driver, bootstrap: string) {
    this.#driver = driver
    this.#bootstrap = bootstrap
  }

  /** @returns undefined where there is no Java */
  static start(bootstrap: string): KafkaTools | undefined {
    const driver = startDriver('Java', bootstrap)
    return driver && new KafkaTools(driver, bootstrap)
  }

  /** @param args separated by blanks @throws with what the command printed when it fails */
  async run(name: keyof typeof mains, args: string): Promise<string> {
    const { status, printed, complained } = await this.tried(name, args)
    if (status === 0) return printed
    throw new Error(`${name} ${args} ended with ${status}: ${printed}\n${complained}`)
  }

  async tried(name: keyof typeof mains, args: string): Promise<Printed> {
    const all = ['--bootstrap-server', this.#bootstrap, ...args.split(' ')]
    return (await this.#driver.call('tool', {
      main: mains[name],
      args: all,
      input: '',
    })) as Printed
  }

  stop(): Promise<void> {
    return this.#driver.stop()
  }
}
