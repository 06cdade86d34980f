import { array, defineMessage, int16, int32, uuid } from '../schema.ts'

const voter = {
  voterId: int32('0+'),
  voterDirectoryId: uuid('1+'),
}

/** Control record: a leader of Kafka's metadata quorum begins its epoch (KIP-595). */
export const leaderChangeMessage = defineMessage({
  name: 'LeaderChangeMessage',
  versions: '0-1',
  flexible: '0+',
  fields: {
    version: int16('0+'),
    leaderId: int32('0+'),
    voters: array('0+', voter),
    grantingVoters: array('0+', voter),
  },
})
