import { runSuites } from './harness/context.ts'
import { admin } from './suite/admin.ts'
import { groups } from './suite/groups.ts'
import { produceAndConsume } from './suite/produce-consume.ts'

await runSuites('rust-rdkafka (Rust)', import.meta.url, [produceAndConsume, groups, admin])
