import { array, defineMessage, int8, int32, int32s, string } from '../schema.ts'

const taskIds = {
  subtopologyId: string('0+'),
  partitions: int32s('0+'),
  assignmentEpochs: int32s('0+', { nullable: '0+', tag: 0, default: null }),
}

/**
 * Value of key 22 of `__consumer_offsets`: the tasks that a member has, and those it still has to give up
 * (KIP-1071).
 */
export const streamsGroupCurrentMemberAssignmentValue = defineMessage({
  name: 'StreamsGroupCurrentMemberAssignmentValue',
  versions: '0',
  flexible: '0+',
  fields: {
    memberEpoch: int32('0+'),
    previousMemberEpoch: int32('0+'),
    state: int8('0+'),
    activeTasks: array('0+', taskIds),
    standbyTasks: array('0+', taskIds),
    warmupTasks: array('0+', taskIds),
    activeTasksPendingRevocation: array('0+', taskIds),
    standbyTasksPendingRevocation: array('0+', taskIds),
    warmupTasksPendingRevocation: array('0+', taskIds),
  },
})
