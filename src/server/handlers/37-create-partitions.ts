import { createPartitions } from '../../protocol/apis/37-create-partitions.ts'
import { withDeadline } from '../deadline.ts'
import { defineHandler } from '../handler.ts'

/** Adds partitions to topics; traffic to the others goes on. */
export const createPartitionsHandler = defineHandler({
  api: createPartitions,
  versions: '0-3',
  forwards: true,
  requires: 'ALTER topic:topics[]',
  serve: async ({ topics, timeoutMs, validateOnly }, { services }) => {
    const results = await withDeadline(services.io.timers, timeoutMs, () =>
      services.controller.createPartitions({ topics, validateOnly }),
    )
    return { results }
  },
  refuse: ({ topics }, errorCode) => ({
    results: topics.map(({ name }) => ({ name, errorCode })),
  }),
})
