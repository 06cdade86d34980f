import { array, defineMessage, int32s, string } from '../schema.ts'

const taskIds = {
  subtopologyId: string('0+'),
  partitions: int32s('0+'),
}

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
