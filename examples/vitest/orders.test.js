import { Kafka, logLevel } from 'kafkajs'
import { startBroker } from 'lmq'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** What is tested: puts an order on a topic. */
async function placeOrder(kafka, order) {
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({
    topic: 'orders',
    messages: [{ key: order.id, value: JSON.stringify(order) }],
  })
  await producer.disconnect()
}

/** The first message of a topic. */
async function firstMessage(kafka, topic) {
  const consumer = kafka.consumer({ groupId: 'test' })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  try {
    return await new Promise((resolve, reject) => {
      consumer.run({ eachMessage: async ({ message }) => resolve(message) }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
}

let broker
let kafka

beforeAll(async () => {
  broker = await startBroker({ port: 0 })
  kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING })
})
afterAll(() => broker.stop())

test('an order reaches the topic', async () => {
  await placeOrder(kafka, { id: 'o-1', amount: 3 })

  const message = await firstMessage(kafka, 'orders')
  expect(message.key.toString()).toBe('o-1')
  expect(JSON.parse(message.value)).toEqual({ id: 'o-1', amount: 3 })
})
