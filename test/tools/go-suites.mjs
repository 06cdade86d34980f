// The Go clients' own tests have a broker's address in their sources; here copies of them take it from the environment.
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './programs.mjs'

/**
 * Copies a module's sources and writes the copy's tests anew.
 *
 * @param source the module's folder, which nobody may write to
 * @param edit takes a test file's name and text and gives its new text
 * @param added more files, by name
 */
export async function copyWithEdits(source, target, edit, added = {}) {
  cpSync(source, target, { recursive: true })
  await run('chmod', ['-R', 'u+w', target])
  for (const name of readdirSync(target).filter((file) => file.endsWith('_test.go'))) {
    const file = join(target, name)
    const text = readFileSync(file, 'utf8')
    const edited = edit(name, text)
    if (edited !== text) writeFileSync(file, edited)
  }
  for (const [name, text] of Object.entries(added)) writeFileSync(join(target, name), text)
}

/** With KAFKA_ADDRESS=localhost:PORT in place of localhost:9092. */
export const kafkaGoEdits = {
  edit: (name, text) => {
    if (!/^package kafka$/m.test(text) || name === 'address_test.go') return text
    return text
      .replaceAll(/\bconst(?= \(\n\t\ttcp | \w+ = "localhost:9092")/g, 'var')
      .replaceAll(/"localhost:9092"|(?<=Dial\("tcp", )"127.0.0.1:9092"/g, 'testAddress')
      .replaceAll('newClient(TCP("localhost"))', 'newClient(TCP(testAddress))')
      .replaceAll(/(Host: "localhost", Port:|Port !=) 9092/g, '$1 testPort')
  },
  added: {
    'broker_address_test.go': `package kafka

import (
	"net"
	"os"
	"strconv"
)

var testAddress = os.Getenv("KAFKA_ADDRESS")

var testPort = func() int {
	_, port, _ := net.SplitHostPort(testAddress)
	number, _ := strconv.Atoi(port)
	return number
}()
`,
  },
}

/** With KAFKA_ADDRESS in place of five brokers' addresses, and one copy of each partition in place of three. */
export const saramaEdits = {
  edit: (name, text) => {
    if (!name.startsWith('functional')) return text
    return text
      .replaceAll('fmt.Sprintf("127.0.0.1:%d", 29090+i)', 'os.Getenv("KAFKA_ADDRESS")')
      .replaceAll(/(?<=ReplicationFactor: +)3\b/g, '1')
  },
}
