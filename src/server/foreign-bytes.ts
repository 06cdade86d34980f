/**
 * Says what probably speaks when the first four bytes of a stream are no frame size.
 *
 * @param frameBytes those bytes, read as a size
 */
export function describeOversize(frameBytes: number, maxFrameBytes: number): string {
  const text = String.fromCharCode(
    (frameBytes >>> 24) & 0xff,
    (frameBytes >>> 16) & 0xff,
    (frameBytes >>> 8) & 0xff,
    frameBytes & 0xff,
  )
  if (frameBytes >>> 16 === 0x1603) return 'a TLS client speaks to a plaintext listener'
  if (/^(GET |POST|PUT |HEAD|OPTI|DELE|PATC|CONN|HTTP|PRI )$/.test(text)) {
    return 'an HTTP client speaks to the Kafka port'
  }
  if (/^[\x20-\x7e\r\n\t]{4}$/.test(text)) return 'plain text was sent to the Kafka port'
  return `frame size ${frameBytes} is above socket.request.max.bytes (${maxFrameBytes})`
}
