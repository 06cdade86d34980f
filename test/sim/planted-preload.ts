// Loaded before a test file: puts the bug whose name is in LMQ_PLANTED into the code that the file tests. Whatever is
// drawn at random is drawn alike each time.
import fc from 'fast-check'
import { plantedBugs } from './planted.ts'

fc.configureGlobal({ seed: 1 })
const wanted = process.env['LMQ_PLANTED'] ?? ''
const bug = plantedBugs.find(({ name }) => name === wanted)
if (wanted !== '' && !bug) throw new Error(`no bug is called ${wanted}`)
bug?.plant()
