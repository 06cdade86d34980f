import { adminStories } from './admin-stories.ts'
import { configStories } from './config-stories.ts'
import { connectionStories } from './connection-stories.ts'
import { controllerStories } from './controller-stories.ts'
import { fetchStories } from './fetch-stories.ts'
import { groupStories } from './group-stories.ts'
import { operatorStories } from './operator-stories.ts'
import { produceStories } from './produce-stories.ts'
import { quotaStories } from './quota-stories.ts'
import { telemetryStories } from './telemetry-stories.ts'
import type { Story } from './telling.ts'

export const stories: Record<string, Story> = {
  ...produceStories,
  ...fetchStories,
  ...adminStories,
  ...configStories,
  ...connectionStories,
  ...groupStories,
  ...operatorStories,
  ...quotaStories,
  ...telemetryStories,
  ...controllerStories,
}
