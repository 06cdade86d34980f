/** A cluster of this process and a client of it, for one test; both go with it. */
import { Client, parseBootstrap } from '../../../src/client/client.ts'
import { type ClusterStartOptions, type RunningCluster, startCluster } from '../../../src/index.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'

export const patienceMs = 90_000

export async function clusterOf(
  t: { teardown(task: () => unknown): void },
  options: ClusterStartOptions,
): Promise<{ cluster: RunningCluster; client: Client }> {
  const cluster = await startCluster(options)
  const client = new Client(createNodeIo(), {
    bootstrap: parseBootstrap(cluster.bootstrap),
    retryForMs: patienceMs,
  })
  t.teardown(async () => {
    client.close()
    await cluster.stop()
  })
  return { cluster, client }
}
