import { Kafka, logLevel } from 'kafkajs'
import { startBroker } from 'lmq'
import t from 'tap'

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

t.test('an order reaches the topic', async (t) => {
  const broker = await startBroker({ port: 0 })
  t.teardown(() => broker.stop())
  const kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING })

  await placeOrder(kafka, { id: 'o-1', amount: 3 })

  const message = await firstMessage(kafka, 'orders')
  t.equal(message.key.toString(), 'o-1')
  t.same(JSON.parse(message.value), { id: 'o-1', amount: 3 })
})
