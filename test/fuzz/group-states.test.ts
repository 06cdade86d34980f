// Goal: whatever members of a classic group ask in whatever order, they are answered by Kafka's rules: one leader, one
// generation, assignments only from the leader of that generation, offsets changed by accepted commits only.
// Method: random requests over raw connections against a running broker and a model. LMQ_SEED repeats a run, LMQ_FUZZ_PORT
// plays it against another broker.
import fc from 'fast-check'
import t from 'tap'
import { findCoordinator } from '../../src/protocol/apis/10-find-coordinator.ts'
import { heartbeat } from '../../src/protocol/apis/12-heartbeat.ts'
import { groupCommands, PARTITIONS, RealGroup } from './group-commands.ts'
import { GroupModel } from './group-model.ts'
import {
  ask,
  Connections,
  createTopic,
  eventually,
  isForeign,
  openPort,
  playStories,
  seed,
} from './state-run.ts'

const timeout = 900_000
t.setTimeout(timeout)
t.comment(`seed ${seed}: repeat with LMQ_SEED=${seed}`)

t.test('members of a group in any order', { timeout }, async (t) => {
  const connections = new Connections(await openPort(t))
  t.teardown(() => connections.close())
  const observer = await connections.take()
  t.teardown(() => observer.close())
  const unique = Date.now().toString(36)
  const topic = `states-${unique}`
  await createTopic(observer, topic, PARTITIONS)
  let count = 0
  await playStories(t, groupCommands, async (commands) => {
    const groupId = `states-${unique}-${count++}`
    await eventually(async () => {
      await ask(observer, findCoordinator, 2, { key: groupId, keyType: 0, coordinatorKeys: [] })
      const request = { groupId, generationId: 0, memberId: 'x' }
      const { errorCode } = await ask(observer, heartbeat, 1, request)
      return errorCode === 25 ? undefined : `the coordinator answers ${errorCode}`
    })
    const real = new RealGroup(groupId, topic, connections, observer)
    try {
      await fc.asyncModelRun(() => ({ model: new GroupModel(isForeign), real }), commands)
    } finally {
      real.close()
    }
  })
})
