import { ProtobufReader } from './protobuf-reader.ts'

/** One number that a client measured. */
export type TelemetryPoint = {
  /** As the client calls it: org.apache.kafka.producer.connection.creation.total. */
  readonly name: string
  readonly description: string
  /** Only grows, but for restarts. */
  readonly isCounter: boolean
  /** What was added since the last push; otherwise the value as it is. */
  readonly isDelta: boolean
  readonly value: number
  /** Of the client as a whole, then of the point. */
  readonly attributes: ReadonlyMap<string, string>
}

/** A push may hold so many; what comes behind is left out. */
const MAX_POINTS = 10_000
const MAX_NAME_BYTES = 256
const MAX_TEXT_BYTES = 256
const MAX_ATTRIBUTES = 16
/** OpenTelemetry's AggregationTemporality. */
const DELTA = 1

/**
 * Reads what a client pushed: OpenTelemetry's MetricsData (opentelemetry-proto, metrics v1). Gauges and sums, which is
 * all that clients of Kafka send (KIP-714); histograms and summaries are skipped.
 *
 * @throws LMQ_PROTOCOL for bytes that are no such message
 */
export function readTelemetry(payload: Buffer): TelemetryPoint[] {
  const points: TelemetryPoint[] = []
  const reader = new ProtobufReader(payload)
  while (reader.next()) {
    if (reader.field === 1) readResource(reader.message(), points)
    else reader.skip()
  }
  return points
}

/** ResourceMetrics. The resource may stand behind its metrics, so these are gone through afterwards. */
function readResource(reader: ProtobufReader, points: TelemetryPoint[]): void {
  const attributes = new Map<string, string>()
  const scopes: ProtobufReader[] = []
  while (reader.next()) {
    if (reader.field === 1) readAttributes(reader.message(), 1, attributes)
    else if (reader.field === 2) scopes.push(reader.message())
    else reader.skip()
  }
  for (const scope of scopes) {
    while (scope.next()) {
      if (scope.field === 2) readMetric(scope.message(), attributes, points)
      else scope.skip()
    }
  }
}

function readAttributes(
  reader: ProtobufReader,
  field: number,
  attributes: Map<string, string>,
): void {
  while (reader.next()) {
    if (reader.field === field) readAttribute(reader.message(), attributes)
    else reader.skip()
  }
}

function readMetric(
  reader: ProtobufReader,
  common: ReadonlyMap<string, string>,
  points: TelemetryPoint[],
): void {
  let name = ''
  let description = ''
  let numbers: { reader: ProtobufReader; isSum: boolean } | undefined
  while (reader.next()) {
    if (reader.field === 1) name = reader.text(MAX_NAME_BYTES)
    else if (reader.field === 2) description = reader.text(MAX_TEXT_BYTES)
    else if (reader.field === 5) numbers = { reader: reader.message(), isSum: false }
    else if (reader.field === 7) numbers = { reader: reader.message(), isSum: true }
    else reader.skip()
  }
  if (numbers === undefined) return
  const found: ProtobufReader[] = []
  let isDelta = false
  let isMonotonic = false
  const { reader: inner, isSum } = numbers
  while (inner.next()) {
    if (inner.field === 1) found.push(inner.message())
    else if (isSum && inner.field === 2) isDelta = inner.int64() === DELTA
    else if (isSum && inner.field === 3) isMonotonic = inner.int64() !== 0
    else inner.skip()
  }
  for (const point of found) {
    const attributes = new Map(common)
    const value = readPoint(point, attributes)
    if (value === undefined || name === '' || points.length >= MAX_POINTS) continue
    points.push({ name, description, isCounter: isMonotonic, isDelta, value, attributes })
  }
}

/** NumberDataPoint. @returns its value; undefined when it has none */
function readPoint(reader: ProtobufReader, attributes: Map<string, string>): number | undefined {
  let value: number | undefined
  while (reader.next()) {
    if (reader.field === 4) value = reader.double()
    else if (reader.field === 6) value = reader.fixedInt64()
    else if (reader.field === 7) readAttribute(reader.message(), attributes)
    else reader.skip()
  }
  return value
}

/** KeyValue. Values that are lists or maps are left out. */
function readAttribute(reader: ProtobufReader, attributes: Map<string, string>): void {
  let key = ''
  let value: string | undefined
  while (reader.next()) {
    if (reader.field === 1) key = reader.text(MAX_NAME_BYTES)
    else if (reader.field === 2) value = readValue(reader.message())
    else reader.skip()
  }
  if (value === undefined || (attributes.size >= MAX_ATTRIBUTES && !attributes.has(key))) return
  attributes.set(key, value)
}

/** AnyValue. */
function readValue(reader: ProtobufReader): string | undefined {
  let value: string | undefined
  while (reader.next()) {
    if (reader.field === 1) value = reader.text(MAX_TEXT_BYTES)
    else if (reader.field === 2) value = String(reader.int64() !== 0)
    else if (reader.field === 3) value = String(reader.int64())
    else if (reader.field === 4) value = String(reader.double())
    else reader.skip()
  }
  return value
}
