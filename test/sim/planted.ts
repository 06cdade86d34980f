// Bugs that a test puts into the running code, to see whether the tests and the simulator would find them.
import type { PlantedBug } from './planted-code.ts'
import { metadataBugs } from './planted-metadata.ts'
import { replicaBugs } from './planted-replicas.ts'

export const plantedBugs: readonly PlantedBug[] = [...replicaBugs, ...metadataBugs]
