import { addressText } from '../config/listeners.ts'

export type BannerFacts = {
  readonly bootstrap: string
  /** All listeners, the one of `bootstrap` first. */
  readonly listeners?: readonly {
    readonly name: string
    readonly host: string
    readonly port: number
  }[]
  readonly httpAddress?: string | undefined
  readonly clusterId: string
  readonly brokerId: number
  readonly dataDir: string
  readonly isEphemeral?: boolean
  /** From the start of the process. */
  readonly startedMs: number
}

/** What a person sees when the broker is ready: the address to paste first. */
export function banner(facts: BannerFacts): string {
  const rows: [string, string][] = [['bootstrap.servers', facts.bootstrap]]
  for (const { name, host, port } of facts.listeners?.slice(1) ?? []) {
    rows.push([`listener ${name}`, addressText(host, port)])
  }
  if (facts.httpAddress) rows.push(['health, metrics', `${facts.httpAddress}/healthz /metrics`])
  const kept = facts.isEphemeral ? 'temporary: removed when the broker stops' : 'kept'
  rows.push(['data', `${facts.dataDir} (${kept})`])
  rows.push(['cluster', `${facts.clusterId}, broker ${facts.brokerId}`])
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
  const title = `LMQ is ready in ${facts.startedMs} ms. Kafka clients connect to ${facts.bootstrap}`
  return `\n${title}\n\n${lines.join('\n')}\n\nStop with Ctrl+C.\n\n`
}
