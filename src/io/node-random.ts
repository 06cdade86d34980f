import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import type { Random } from './io.ts'

export const nodeRandom: Random = {
  int: (maxExclusive) => randomInt(maxExclusive),
  uuid() {
    for (;;) {
      const text = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
      // Kafka avoids ids that begin with a dash: command lines would take them for options.
      if (!text.startsWith('-')) return text
    }
  },
  bytes: (size) => randomBytes(size),
}
