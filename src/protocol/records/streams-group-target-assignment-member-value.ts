import { array, defineMessage, int32s, string } from '../schema.ts'

const taskIds = {
  subtopologyId: string('0+'),
  partitions: int32s('0+'),
}

/** Value of key 21 of `__consumer_offsets`: the tasks that a member is to have (KIP-1071). */
export const streamsGroupTargetAssignmentMemberValue = defineMessage({
  name: 'StreamsGroupTargetAssignmentMemberValue',
  versions: '0',
  flexible: '0+',
  fields: {
    activeTasks: array('0+', taskIds),
    standbyTasks: array('0+', taskIds),
    warmupTasks: array('0+', taskIds),
  },
})
