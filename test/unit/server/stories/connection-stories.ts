import { metadata } from '../../../../src/protocol/apis/03-metadata.ts'
import { findCoordinator } from '../../../../src/protocol/apis/10-find-coordinator.ts'
import { apiVersions } from '../../../../src/protocol/apis/18-api-versions.ts'
import type { Story } from './telling.ts'

const versions = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** A frame: key, version, correlation id 7, client id, then bytes. */
function frame(
  key: number,
  version: number,
  body: number[] | Buffer = [],
  clientId: string | null = 'me',
): Buffer {
  const id =
    clientId === null
      ? Buffer.from([255, 255])
      : Buffer.concat([Buffer.from([0, clientId.length]), Buffer.from(clientId)])
  const head = Buffer.alloc(8)
  head.writeInt16BE(key, 0)
  head.writeInt16BE(version, 2)
  head.writeInt32BE(7, 4)
  const rest = Buffer.concat([head, id, Buffer.from(body)])
  const size = Buffer.alloc(4)
  size.writeInt32BE(rest.length)
  return Buffer.concat([size, rest])
}

export const connectionStories: Record<string, Story> = {
  versions: async (s) => {
    for (const version of versions(0, 4)) {
      for (const [software, softwareVersion] of [
        ['java', '4.3.1'],
        ['', ''],
        ['a b', '1'],
        ['-x', '1'],
        ['x-', '1'],
        ['x', '1_2'],
        ['x.y-z', '1'],
      ]) {
        await s.ask(
          apiVersions,
          version,
          version >= 3
            ? { clientSoftwareName: software, clientSoftwareVersion: softwareVersion }
            : { clientSoftwareName: '', clientSoftwareVersion: '' },
          {
            label: `'${software}' '${softwareVersion}'`,
            without: ['apiKeys', 'supportedFeatures', 'finalizedFeatures'],
          },
        )
      }
    }
    for (const version of [5, 6, 99, 32767, -1])
      await s.sendBytes(`ApiVersions v${version}`, frame(18, version, [0, 1, 2, 3]))
    await s.sendBytes('ApiVersions v5 without client id', frame(18, 5, [0], null))
  },

  'unknown APIs and versions': async (s) => {
    for (const key of [
      4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 93, 94, 999, 32767, -1,
    ])
      await s.sendBytes(`API ${key}`, frame(key, 0))
    const tooLow: [number, number][] = [
      [0, 0],
      [0, 2],
      [1, 3],
      [2, 0],
      [8, 1],
      [9, 0],
      [19, 1],
      [20, 0],
      [23, 1],
      [32, 0],
      [35, 0],
    ]
    const tooHigh: [number, number][] = [
      [0, 14],
      [1, 19],
      [2, 12],
      [3, 14],
      [8, 11],
      [9, 11],
      [10, 7],
      [11, 10],
      [12, 5],
      [13, 6],
      [14, 6],
      [15, 7],
      [16, 6],
      [19, 8],
      [20, 7],
      [21, 3],
      [23, 5],
      [32, 5],
      [33, 3],
      [35, 6],
      [37, 4],
      [42, 3],
      [44, 2],
      [47, 1],
      [60, 3],
      [61, 1],
      [75, 1],
    ]
    for (const [key, version] of [...tooLow, ...tooHigh])
      await s.sendBytes(`API ${key} v${version}`, frame(key, version, Buffer.alloc(40)))
    for (const key of [0, 1, 3, 19]) await s.sendBytes(`API ${key} v-1`, frame(key, -1))
  },

  garbage: async (s) => {
    await s.sendBytes('size 0', Buffer.from([0, 0, 0, 0]))
    await s.sendBytes('size -1', Buffer.from([255, 255, 255, 255]))
    await s.sendBytes('size -2147483648', Buffer.from([128, 0, 0, 0]))
    await s.sendBytes('size 104857601', Buffer.from([6, 64, 0, 1]))
    await s.sendBytes('size 104857600', Buffer.from([6, 64, 0, 0]))
    await s.sendBytes('size 4', Buffer.from([0, 0, 0, 4, 0, 3, 0, 1]))
    await s.sendBytes('size 1', Buffer.from([0, 0, 0, 1, 0]))
    await s.sendBytes('HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'))
    await s.sendBytes('TLS', Buffer.from('1603010200010001fc0303', 'hex'))
    await s.sendBytes('half a size', Buffer.from([0, 0]))
    await s.sendBytes('half a frame', Buffer.from([0, 0, 0, 50, 0, 3]))
    await s.sendBytes('no body', frame(3, 4))
    await s.sendBytes('client id too long', frame(3, 1, [255, 255, 255, 255]).fill(127, 12, 14))
    await s.sendBytes(
      'client id -2',
      (() => {
        const f = frame(18, 0)
        f.writeInt16BE(-2, 12)
        return f
      })(),
    )
    await s.sendBytes('Metadata v4, count -2', frame(3, 4, [255, 255, 255, 254, 1]))
    await s.sendBytes('Metadata v4, count too large', frame(3, 4, [127, 255, 255, 255, 1]))
    await s.sendBytes('Metadata v1, name null', frame(3, 1, [0, 0, 0, 1, 255, 255]))
    await s.sendBytes('Metadata v0, topics null', frame(3, 0, [255, 255, 255, 255]))
    await s.sendBytes('FindCoordinator v0, key null', frame(10, 0, [255, 255]))
    await s.sendBytes(
      'Produce v3, topics null',
      frame(0, 3, [255, 255, 255, 255, 0, 0, 0, 1, 255, 255, 255, 255]),
    )
    await s.sendBytes(
      'Fetch v4, topics null',
      frame(1, 4, [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]),
    )
    await s.sendBytes(
      'FindCoordinator v4, bad tag count',
      frame(10, 4, [0, 0, 1, 255, 255, 255, 255, 255]),
    )
    await s.sendBytes(
      'FindCoordinator v3, tags out of order',
      frame(10, 3, [0, 3, 97, 98, 0, 2, 5, 1, 9, 4, 1, 9]),
    )
    await s.sendBytes(
      'FindCoordinator v3, unknown tags',
      frame(10, 3, [0, 3, 97, 98, 9, 2, 4, 1, 9, 5, 1, 9]),
    )
    await s.sendBytes(
      'FindCoordinator v3, header tags',
      frame(10, 3, [1, 7, 1, 1, 3, 97, 98, 9, 0]),
    )
  },

  'bytes behind a request': async (s) => {
    await s.sendBytes(
      'Heartbeat v0 and 3 bytes',
      frame(12, 0, [0, 1, 97, 0, 0, 0, 1, 0, 1, 98, 1, 2, 3]),
    )
    await s.sendBytes('Heartbeat v0', frame(12, 0, [0, 1, 97, 0, 0, 0, 1, 0, 1, 98]))
    await s.sendBytes('bool 7', frame(42, 0, [0, 0, 0, 0, 7]))
    await s.sendBytes(
      'text that is not UTF-8',
      frame(12, 0, [0, 2, 255, 254, 0, 0, 0, 1, 0, 1, 98]),
    )
  },

  coordinators: async (s) => {
    for (const version of versions(0, 6)) {
      for (const keyType of version ? [0, 1, 2, 3, -1] : [0]) {
        for (const keys of version >= 4 ? [['g'], ['a', 'b', 'a'], [''], []] : [['g'], ['']]) {
          const request =
            version >= 4
              ? { key: '', keyType, coordinatorKeys: keys }
              : { key: keys[0] ?? '', keyType, coordinatorKeys: [] }
          for (let i = 0; i < 100; i++) {
            const first = await s.quietly(findCoordinator, version, request)
            const text = JSON.stringify(first ?? '')
            if (!text.includes('"errorCode":15')) break
            await new Promise((resolve) => setTimeout(resolve, 50))
          }
          await s.ask(findCoordinator, version, request, { label: `type ${keyType} ${keys}` })
        }
      }
    }
  },
  'client ids': async (s) => {
    for (const who of ['', 'ä', 'x'.repeat(300)])
      await s.ask(
        metadata,
        1,
        {
          topics: [],
          allowAutoTopicCreation: true,
          includeClusterAuthorizedOperations: false,
          includeTopicAuthorizedOperations: false,
        },
        { who },
      )
  },
}
