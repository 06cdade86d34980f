import { defineMessage, string } from '../schema.ts'

/** Key 23 of `__consumer_offsets`: a Streams group. */
export const streamsGroupTopologyKey = defineMessage({
  name: 'StreamsGroupTopologyKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
