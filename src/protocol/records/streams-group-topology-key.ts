import { defineMessage, string } from '../schema.ts'

export const streamsGroupTopologyKey = defineMessage({
  name: 'StreamsGroupTopologyKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
