// Records what a real client and a real broker say to each other, as test/golden/frames/*.txt.
//
// A TCP proxy: clients connect here, every byte goes on to the broker and back unchanged. The broker must advertise
// the proxy's address, so that clients come here for partition leaders too. Of each API, version and direction the
// first few different frames are kept; they are written when the program gets SIGTERM or SIGINT.
//
//   node --import tsx test/tools/record-frames.ts PROXY_PORT BROKER_HOST:PORT OUT_FILE [FRAMES_PER_KIND]
import { writeFileSync } from 'node:fs'
import net from 'node:net'

const [listenPort, upstream, outFile, perKind = '3'] = process.argv.slice(2)
if (!listenPort || !upstream || !outFile) {
  console.error('usage: record-frames PROXY_PORT BROKER_HOST:PORT OUT_FILE [FRAMES_PER_KIND]')
  process.exit(2)
}
const [upstreamHost = '127.0.0.1', upstreamPort = '9092'] = upstream.split(':')
/** Larger frames repeat what smaller ones show. */
const MAX_FRAME_BYTES = 6000

const kept = new Map<string, Set<string>>()

function keep(key: number, version: number, direction: string, frame: Buffer): void {
  if (frame.length > MAX_FRAME_BYTES) return
  const kind = `${key} ${version} ${direction}`
  const frames = kept.get(kind) ?? new Set()
  kept.set(kind, frames)
  if (frames.size >= Number(perKind)) return
  const text = frame.toString('base64')
  // A frame of the same size says nothing new, most times: prefer variety over the first few heartbeats.
  for (const other of frames) if (other.length === text.length) return
  frames.add(text)
}

/** Cuts a stream into frames without their size field. */
function frameCutter(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let pending = Buffer.alloc(0)
  return (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 4) {
      const size = pending.readInt32BE(0)
      if (pending.length < 4 + size) return
      onFrame(Buffer.from(pending.subarray(4, 4 + size)))
      pending = pending.subarray(4 + size)
    }
  }
}

const server = net.createServer((client) => {
  const broker = net.connect(Number(upstreamPort), upstreamHost)
  const waiting = new Map<number, { key: number; version: number }>()
  const onRequest = frameCutter((frame) => {
    const key = frame.readInt16BE(0)
    const version = frame.readInt16BE(2)
    waiting.set(frame.readInt32BE(4), { key, version })
    keep(key, version, 'request', frame)
  })
  const onResponse = frameCutter((frame) => {
    const asked = waiting.get(frame.readInt32BE(0))
    if (asked) keep(asked.key, asked.version, 'response', frame)
    waiting.delete(frame.readInt32BE(0))
  })
  client.on('data', (chunk) => {
    onRequest(chunk)
    broker.write(chunk)
  })
  broker.on('data', (chunk) => {
    onResponse(chunk)
    client.write(chunk)
  })
  const close = () => {
    client.destroy()
    broker.destroy()
  }
  for (const socket of [client, broker]) socket.on('close', close).on('error', close)
})

function finish(): void {
  const lines: string[] = []
  for (const [kind, frames] of kept) for (const text of frames) lines.push(`${kind} ${text}`)
  lines.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  writeFileSync(outFile as string, `${lines.join('\n')}\n`)
  process.exit(0)
}
process.on('SIGTERM', finish)
process.on('SIGINT', finish)
server.listen(Number(listenPort), '127.0.0.1')
