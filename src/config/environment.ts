/**
 * Settings in environment variables, as Kafka's Docker image reads them: KAFKA_ and the name in capitals, `_` for a dot,
 * `__` for an underscore, `___` for a dash. LMQ_X_Y gives lmq.x.y, CLUSTER_ID the id of a new cluster.
 */
export type Environment = Readonly<Record<string, string | undefined>>

export type EnvironmentSetting = { readonly variable: string; name: string; value: string }

/** Variables that Kafka's image and its start scripts read themselves. They tune a JVM that is not here. */
const scriptVariables = new Set([
  'KAFKA_VERSION',
  'KAFKA_HEAP_OPTS',
  'KAFKA_OPTS',
  'KAFKA_DEBUG',
  'KAFKA_JMX_OPTS',
  'KAFKA_JMX_PORT',
  'KAFKA_JMX_HOSTNAME',
  'KAFKA_JVM_PERFORMANCE_OPTS',
  'KAFKA_GC_LOG_OPTS',
  'KAFKA_LOG4J_OPTS',
  'KAFKA_LOG4J_CMD_OPTS',
  'KAFKA_LOG4J_LOGGERS',
  'KAFKA_LOG4J_ROOT_LOGLEVEL',
  'KAFKA_TOOLS_LOG4J_LOGLEVEL',
])

/** Variables of LMQ's own tools: no settings of a broker. */
const toolVariables = new Set(['LMQ_BOOTSTRAP'])

/** `KAFKA_LOG_RETENTION_MS` is log.retention.ms. */
export function settingNameOf(variable: string): string {
  return variable
    .toLowerCase()
    .replace(/_{1,3}/g, (run) => (run.length === 1 ? '.' : run.length === 2 ? '_' : '-'))
}

/** @returns settings by name, and the script variables that were set */
export function settingsOfEnvironment(environment: Environment): {
  settings: EnvironmentSetting[]
  scripts: string[]
} {
  const settings: EnvironmentSetting[] = []
  const scripts: string[] = []
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined) continue
    if (variable === 'CLUSTER_ID') settings.push({ variable, name: 'lmq.cluster.id', value })
    else if (scriptVariables.has(variable)) scripts.push(variable)
    else if (variable.startsWith('KAFKA_') && variable.length > 6) {
      settings.push({ variable, name: settingNameOf(variable.slice(6)), value })
    } else if (variable.startsWith('LMQ_') && !toolVariables.has(variable)) {
      settings.push({ variable, name: settingNameOf(variable), value })
    }
  }
  return { settings, scripts }
}
