import { gzipSync } from 'node:zlib'
import { apiVersions } from '../../../../src/protocol/apis/18-api-versions.ts'
import { incrementalAlterConfigs } from '../../../../src/protocol/apis/44-incremental-alter-configs.ts'
import { getTelemetrySubscriptions } from '../../../../src/protocol/apis/71-get-telemetry-subscriptions.ts'
import { pushTelemetry } from '../../../../src/protocol/apis/72-push-telemetry.ts'
import { ZERO_UUID } from '../../../../src/protocol/uuid.ts'
import type { Story, Telling } from './telling.ts'

const ids = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
/** A client instance id of its own for each part of a story. */
const instance = (part: number): string => `${ids[part]}bCdEfGhIjKlMnOpQrStUw`
const RESERVED = 'AAAAAAAAAAAAAAAAAAAAAQ'

/** A field of Protocol Buffers that holds bytes. */
const field = (number: number, content: Buffer): Buffer => {
  const length: number[] = []
  for (let rest = content.length; ; rest >>>= 7) {
    length.push(rest >= 0x80 ? (rest & 0x7f) | 0x80 : rest)
    if (rest < 0x80) break
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), content])
}
const point = Buffer.alloc(9)
point[0] = (4 << 3) | 1
point.writeDoubleLE(1.5, 1)
const gauge = Buffer.concat([field(1, Buffer.from('a.b')), field(5, field(1, point))])
/** OTLP: a gauge of one point. */
const oneNumber = field(1, field(2, field(2, gauge)))
/** A field that nobody knows. @param bytes with its tag and length, of more than 16,384 */
const padding = (bytes: number): Buffer => field(15, Buffer.alloc(bytes - 4))

const subscribe = async (
  s: Telling,
  name: string,
  configs: Record<string, string | null>,
  show = false,
) => {
  const request = {
    resources: [
      {
        resourceType: 16,
        resourceName: name,
        configs: Object.entries(configs).map(([key, value]) => ({
          name: key,
          configOperation: value === null ? 1 : 0,
          value,
        })),
      },
    ],
    validateOnly: false,
  }
  if (show)
    await s.ask(incrementalAlterConfigs, 1, request, {
      label: `subscribe ${JSON.stringify(configs)}`,
    })
  else await s.quietly(incrementalAlterConfigs, 1, request)
  await s.pass(400)
}

const ask = (
  s: Telling,
  label: string,
  clientInstanceId: string,
  { who = 'test', without = [] as string[] } = {},
) =>
  s.ask(
    getTelemetrySubscriptions,
    0,
    { clientInstanceId },
    { label: `GetTelemetrySubscriptions ${label}`, who, without },
  )

type Push = { terminating?: boolean; codec?: number; metrics?: Buffer; who?: string }

const push = (
  s: Telling,
  label: string,
  clientInstanceId: string,
  subscriptionId: unknown,
  more: Push = {},
) => {
  const { terminating = false, codec = 0, metrics = Buffer.alloc(0), who = 'test' } = more
  return s.ask(
    pushTelemetry,
    0,
    { clientInstanceId, subscriptionId, terminating, compressionType: codec, metrics },
    { label: `PushTelemetry ${label}`, who },
  )
}

export const telemetryStories: Record<string, Story> = {
  'telemetry subscriptions': async (s) => {
    const [first, second] = [s.name('first'), s.name('second')]
    await ask(s, 'nobody asks for metrics', instance(0))
    await ask(s, 'again', instance(0))
    const fresh = await s.quietly(getTelemetrySubscriptions, 0, { clientInstanceId: ZERO_UUID })
    s.note(`a new id is given: ${fresh?.['clientInstanceId'] !== ZERO_UUID}`)
    await ask(s, 'the reserved id', RESERVED, { without: ['clientInstanceId', 'subscriptionId'] })
    await subscribe(s, first, { metrics: 'org.apache.kafka.producer.', 'interval.ms': '600000' })
    await ask(s, 'one subscription, known client', instance(0))
    await ask(s, 'the same again', instance(0))
    await ask(s, 'one subscription, new client', instance(1))
    await subscribe(s, second, { metrics: 'a.b,c.d', 'interval.ms': '60000' })
    await ask(s, 'two subscriptions', instance(1), {
      without: ['subscriptionId', 'requestedMetrics'],
    })
    await subscribe(s, second, { metrics: '*' })
    await ask(s, 'all metrics', instance(2))
    await subscribe(s, second, { match: 'client_id=somebody-[a-z]+' })
    await ask(s, 'another client id', instance(3))
    await ask(s, 'that client id', instance(4), { who: 'somebody-else' })
    await ask(s, 'only a part of it', instance(5), { who: 'somebody-else2' })
    await subscribe(s, second, {
      match: 'client_software_name=my-soft.*,client_software_version=1\\.2\\..*',
    })
    await ask(s, 'no software named', instance(6), { who: 'unnamed' })
    await s.quietly(
      apiVersions,
      3,
      { clientSoftwareName: 'my-software', clientSoftwareVersion: '1.2.3' },
      { who: 'named' },
    )
    await ask(s, 'that software', instance(7), { who: 'named' })
    await subscribe(s, second, {
      match: 'client_source_address=127\\..*,client_source_port=[0-9]+',
    })
    await ask(s, 'that address', instance(8), { who: 'addressed' })
    await subscribe(s, second, { match: `client_instance_id=${instance(9)}` })
    await ask(s, 'that instance', instance(9), { who: 'instance' })
    await ask(s, 'not that instance', instance(10), { who: 'instance2' })
    for (const match of [
      'client_id',
      'client_id=',
      '=x',
      'no.such=x',
      'client_id=(',
      'client_id=a=b',
      'client_id=[z-a]',
      'client_id=x,client_id=y',
      '',
    ])
      await subscribe(s, second, { match }, true)
    await subscribe(s, second, { metrics: '' }, true)
    await subscribe(s, second, { 'interval.ms': '99' }, true)
    await subscribe(s, first, { metrics: null, 'interval.ms': null })
    await subscribe(s, second, { metrics: null, 'interval.ms': null, match: null })
    await ask(s, 'nobody asks any more', instance(11), { who: 'late' })
  },

  'telemetry pushed': async (s) => {
    const name = s.name('pushes')
    await subscribe(s, name, { metrics: 'x.y', 'interval.ms': '3600000' })
    const got = await s.quietly(getTelemetrySubscriptions, 0, { clientInstanceId: instance(12) })
    const id = got?.['subscriptionId']
    await push(s, 'no id', ZERO_UUID, id)
    await push(s, 'the reserved id', RESERVED, id)
    await push(s, 'at once', instance(12), id)
    await push(s, 'too early', instance(12), id)
    await ask(s, 'too early', instance(12))
    await push(s, 'the last one', instance(12), id, { terminating: true })
    await push(s, 'after the last one', instance(12), id)
    await push(s, 'after that', instance(12), id, { terminating: true })
    const other = async (part: number) => {
      const answer = await s.quietly(getTelemetrySubscriptions, 0, {
        clientInstanceId: instance(part),
      })
      return answer?.['subscriptionId']
    }
    const wrong = Number(await other(13)) + 1
    await push(s, 'another subscription', instance(13), wrong)
    await ask(s, 'after another subscription', instance(13))
    await push(s, 'codec 5', instance(14), await other(14), { codec: 5 })
    await push(s, 'after codec 5', instance(14), await other(14))
    await push(s, 'codec -1', instance(15), await other(15), { codec: -1 })
    await push(s, 'too large', instance(16), await other(16), { metrics: Buffer.alloc(1_048_577) })
    await push(s, 'no OTLP', instance(17), await other(17), { metrics: Buffer.from('nonsense') })
    await push(s, 'no zstd', instance(18), await other(18), {
      codec: 4,
      metrics: Buffer.from('nonsense'),
    })
    const bomb = gzipSync(Buffer.alloc(2_000_000))
    await push(s, 'a bomb', instance(20), await other(20), { codec: 1, metrics: bomb })
    const limit = gzipSync(Buffer.concat([oneNumber, padding(1_048_576 - oneNumber.length)]))
    await push(s, 'at the limit', instance(21), await other(21), { codec: 1, metrics: limit })
    await push(s, 'one number', instance(22), await other(22), { metrics: oneNumber })
    const packed = gzipSync(oneNumber)
    await push(s, 'one number, gzip', instance(23), await other(23), { codec: 1, metrics: packed })
    await push(s, 'unknown instance', instance(19), 1)
    await push(s, 'and its right id', instance(19), 0, { terminating: true })
    await subscribe(s, name, { metrics: null, 'interval.ms': null })
  },
}
