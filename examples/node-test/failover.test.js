import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { startCluster } from 'lmq'

let cluster
let kafka

before(async () => {
  cluster = await startCluster({ brokers: 3 })
  const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 30 }
  kafka = new Kafka({ brokers: cluster.bootstrap.split(','), logLevel: logLevel.NOTHING, retry })
})
after(() => cluster.stop())

test('orders outlive the death of a broker', async () => {
  const producer = kafka.producer()
  await producer.connect()
  const place = (id) => producer.send({ topic: 'orders', acks: -1, messages: [{ value: id }] })
  await place('before')

  await cluster.kill(await cluster.controllerId()) // as kill -9 would
  await place('after')
  await producer.disconnect()

  const consumer = kafka.consumer({ groupId: 'test' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'orders', fromBeginning: true })
  const found = new Set()
  try {
    await new Promise((resolve, reject) => {
      const eachMessage = async ({ message }) => {
        found.add(message.value.toString())
        if (found.size === 2) resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  assert.deepEqual([...found].sort(), ['after', 'before'])
})
