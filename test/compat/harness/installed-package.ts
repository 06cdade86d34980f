// The package as `npm pack` ships it, where somebody installed it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { repositoryRoot } from '../../tools/repository-root.ts'
import { givenBootstrap } from './broker.ts'
import { runOrThrow } from './program.ts'

type Manifest = {
  readonly dependencies: Record<string, string>
  readonly optionalDependencies: Record<string, string>
}

const root = repositoryRoot(import.meta.url)

/** @returns a reason to skip: a package is made of what the test run has built */
export function whyNoPackage(): string | false {
  const isBuilt = process.env['LMQ_PROGRAM'] !== undefined
  return (givenBootstrap !== undefined || !isBuilt) && 'needs the program that the runner builds'
}

/** @returns a project that has lmq with the dependencies that its package.json names, and nothing else; gone with the test */
export async function installPackage(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lmq-package-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]
  const { stdout } = await runOrThrow('npm', pack, { cwd: root })
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  await runOrThrow('tar', ['-xzf', join(folder, stdout.toString().trim()), '-C', modules])
  symlinkSync(join(modules, 'package'), join(modules, 'lmq'), 'dir')
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  const { dependencies, optionalDependencies } = manifest
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    link(join(root, 'node_modules'), folder, name)
  }
  return folder
}

/** Gives a project a package of another project. */
export function link(modules: string, project: string, name: string): void {
  const path = join(project, 'node_modules', name)
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(join(modules, name), path, 'dir')
}
