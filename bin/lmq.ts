#!/usr/bin/env node
import { keepCompiledCode } from '../src/cli/compiled-code.ts'

keepCompiledCode()
const { main } = await import('../src/cli/main.ts')
await main(process.argv.slice(2))
