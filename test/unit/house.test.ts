// Goal: the rules that keep the floors apart hold in every source file. Method: read the sources with TypeScript's parser.
// A rule's exceptions stand in the table beside it, each with its reason.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { repositoryRoot } from '../tools/repository-root.ts'

/** Folders and files by floor; a file imports from its own folder and from lower floors. */
const floors: readonly (readonly string[])[] = [
  ['src/base'],
  ['src/protocol', 'src/io', 'src/config', 'src/metrics'],
  ['src/log', 'src/coordinator', 'src/client'],
  ['src/cluster'],
  ['src/server', 'src/http'],
  ['src/broker.ts'],
  ['src/index.ts'],
  ['src/cli'],
  ['bin'],
]

/** Where the outside world may be named: the door itself, the programs a person starts, the HTTP server's entry. */
const outsideDoors = [
  'src/io/',
  'src/cli/',
  'bin/',
  'src/http/http-server.ts',
  'src/http/http-service.ts',
  // The npm package opens its own sockets.
  'src/cluster/consul/consul-http.ts',
]

const forbiddenModules = new Set(
  [
    ...[
      'child_process',
      'cluster',
      'dgram',
      'dns',
      'dns/promises',
      'fs',
      'fs/promises',
      'http',
      'http2',
      'https',
    ],
    ...[
      'inspector',
      'net',
      'os',
      'perf_hooks',
      'process',
      'readline',
      'readline/promises',
      'timers',
    ],
    ...['timers/promises', 'tls', 'v8', 'worker_threads', 'zlib'],
  ].map((name) => `node:${name}`),
)

const forbiddenGlobals = new Set([
  ...[
    'setTimeout',
    'setInterval',
    'setImmediate',
    'clearTimeout',
    'clearInterval',
    'clearImmediate',
  ],
  ...[
    'process',
    'performance',
    'console',
    'fetch',
    'crypto',
    'queueMicrotask',
    'require',
    '__dirname',
  ],
])
const forbiddenMembers = new Set(['Date.now', 'Math.random'])

/** Aim at 500; a file that is much longer is two nouns, unless it stands here with its reason. */
const maxFileLines = 600
const longFiles: Readonly<Record<string, string>> = {}

/** Aim at 60; nothing may be longer than this. */
const maxFunctionLines = 100
const longFunctions: Readonly<Record<string, string>> = {}

const declaredIn = new WeakMap<ts.SourceFile, Set<string>>()
const root = repositoryRoot(import.meta.url)
const sources = ['src', 'bin'].flatMap((folder) => filesBelow(folder, /\.ts$/))
const parsed = new Map(sources.map((file) => [file, parse(file)]))

function filesBelow(folder: string, ending: RegExp): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
    .filter((path) => ending.test(path))
    .sort()
}

function parse(file: string): ts.SourceFile {
  const text = readFileSync(join(root, file), 'utf8')
  return ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true)
}

type Import = { readonly specifier: string; readonly typeOnly: boolean }

function importsOf(source: ts.SourceFile): Import[] {
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const typeOnly = node.importClause?.isTypeOnly === true
      found.push({ specifier: node.moduleSpecifier.text, typeOnly })
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      const specifier = (node.moduleSpecifier as ts.StringLiteral).text
      found.push({ specifier, typeOnly: node.isTypeOnly })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [first] = node.arguments
      if (first && ts.isStringLiteral(first)) found.push({ specifier: first.text, typeOnly: true })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Relative imports as paths from the root. */
function localImports(file: string, { valuesOnly }: { valuesOnly: boolean }): string[] {
  const source = parsed.get(file)
  if (!source) return []
  return importsOf(source)
    .filter((each) => each.specifier.startsWith('.') && !(valuesOnly && each.typeOnly))
    .map((each) =>
      relative(root, resolve(root, dirname(file), each.specifier)).replaceAll('\\', '/'),
    )
}

function roomOf(file: string): { floor: number; room: string } | undefined {
  for (const [floor, rooms] of floors.entries()) {
    const room = rooms.find((each) => file === each || file.startsWith(`${each}/`))
    if (room) return { floor, room }
  }
  return undefined
}

const allowedOutside = (file: string) => outsideDoors.some((door) => file.startsWith(door))

/** Calls `visit` for every node of every file; what it returns is a broken rule. */
function offences(visit: (node: ts.Node, file: string) => string | undefined): string[] {
  const found: string[] = []
  for (const [file, source] of parsed) {
    const walk = (node: ts.Node): void => {
      const offence = visit(node, file)
      if (offence) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart())
        found.push(`${file}:${line + 1} ${offence}`)
      }
      ts.forEachChild(node, walk)
    }
    walk(source)
  }
  return found
}

t.test('imports go down, never up or to a sibling', (t) => {
  const wrong: string[] = []
  for (const file of sources) {
    const from = roomOf(file)
    if (!from) wrong.push(`${file} is on no floor`)
    for (const target of localImports(file, { valuesOnly: false })) {
      if (!parsed.has(target)) wrong.push(`${file} imports ${target}, which is not there`)
      const to = roomOf(target)
      if (!from || !to || from.room === to.room || to.floor < from.floor) continue
      wrong.push(`${file} imports ${target}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

t.test('imports make no circle', (t) => {
  const circles = new Set<string>()
  const finished = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) circles.add([...path.slice(at), file].join(' -> '))
    if (at >= 0 || finished.has(file)) return
    for (const target of localImports(file, { valuesOnly: true })) walk(target, [...path, file])
    finished.add(file)
  }
  for (const file of sources) walk(file, [])
  t.same([...circles], [])
  t.end()
})

t.test('every package that is imported is a dependency', (t) => {
  const { dependencies = {}, optionalDependencies = {} } = packageJson()
  const known = new Set([...Object.keys(dependencies), ...Object.keys(optionalDependencies)])
  const wrong: string[] = []
  for (const [file, source] of parsed) {
    for (const { specifier } of importsOf(source)) {
      if (specifier.startsWith('.')) continue
      if (builtinModules.includes(specifier))
        wrong.push(`${file} imports ${specifier} without node:`)
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
      if (!specifier.startsWith('node:') && !known.has(name)) wrong.push(`${file} imports ${name}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

t.test('names are exported where they are declared', (t) => {
  const wrong = offences((node, file) => {
    if (ts.isExportAssignment(node)) return 'default export'
    const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined
    if (modifiers?.some((each) => each.kind === ts.SyntaxKind.DefaultKeyword))
      return 'default export'
    if (ts.isExportDeclaration(node) && node.moduleSpecifier && file !== 'src/index.ts') {
      return 'passes on another file: import it from there'
    }
    return undefined
  })
  t.same(wrong, [])
  t.end()
})

t.test('clock, timers, random, files, sockets and the process come through Io', (t) => {
  const wrong = offences((node, file) => {
    if (allowedOutside(file)) return undefined
    if (ts.isImportDeclaration(node) && !node.importClause?.isTypeOnly) {
      const specifier = (node.moduleSpecifier as ts.StringLiteral).text
      return forbiddenModules.has(specifier) ? `imports ${specifier}` : undefined
    }
    if (ts.isPropertyAccessExpression(node)) {
      const text = node.getText()
      return forbiddenMembers.has(text) ? text : undefined
    }
    if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
      return node.arguments?.length ? undefined : 'new Date()'
    }
    if (ts.isIdentifier(node) && forbiddenGlobals.has(node.text) && isGlobal(node)) return node.text
    return undefined
  })
  t.same(wrong, [])
  t.end()
})

/** Whether an identifier means the global of that name: not a property, not something that the file declares itself. */
function isGlobal(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false
  if ('name' in parent && parent.name === node) return false
  if ('propertyName' in parent && parent.propertyName === node) return false
  if (ts.isTypeNode(parent) || ts.isQualifiedName(parent)) return false
  return !declaredNames(node.getSourceFile()).has(node.text)
}

function declaredNames(source: ts.SourceFile): Set<string> {
  const known = declaredIn.get(source)
  if (known) return known
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const declares =
      ts.isVariableDeclaration(node) ||
      ts.isParameter(node) ||
      ts.isBindingElement(node) ||
      ts.isFunctionDeclaration(node) ||
      ts.isImportSpecifier(node)
    if (declares && node.name && ts.isIdentifier(node.name)) names.add(node.name.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  declaredIn.set(source, names)
  return names
}

t.test('machines are pure', (t) => {
  const wrong = offences((node, file) => {
    if (!file.endsWith('-machine.ts')) return undefined
    if (node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node)) return 'is async'
    if (ts.isImportDeclaration(node)) {
      const specifier = (node.moduleSpecifier as ts.StringLiteral).text
      if (/\/io\//.test(specifier)) return `imports ${specifier}`
    }
    return undefined
  })
  t.same(wrong, [])
  t.end()
})

t.test('files and functions are short', (t) => {
  const wrong: string[] = []
  for (const [file, source] of parsed) {
    const lines = source.getLineAndCharacterOfPosition(source.end).line
    if (lines > maxFileLines && !longFiles[file]) wrong.push(`${file} has ${lines} lines`)
  }
  const long = offences((node, file) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || !node.body) return undefined
    const source = node.getSourceFile()
    const first = source.getLineAndCharacterOfPosition(node.getStart()).line
    const last = source.getLineAndCharacterOfPosition(node.end).line
    const name = node.name?.getText() ?? 'a function'
    if (last - first < maxFunctionLines || longFunctions[`${file} ${name}`]) return undefined
    return `${name} has ${last - first + 1} lines`
  })
  t.same([...wrong, ...long], [])
  t.end()
})

t.test('files are named for one noun', (t) => {
  const wrong = sources.filter((file) =>
    /(manager|helper|util|misc|common)s?\b|[A-Z_]/.test(file.slice(file.lastIndexOf('/') + 1)),
  )
  t.same(wrong, [])
  t.end()
})

t.test('texts name no machine, no registry, and leave nothing for later', (t) => {
  const hosts = [
    'registry.npmjs',
    'pypi',
    'proxy.golang',
    'repo.maven',
    'repo1.maven',
    'deb.debian',
  ]
  const rules: readonly (readonly [RegExp, string])[] = [
    [/(^|[\s'"`(=:])\/(work|root|home)\/\w/m, 'a path of one machine'],
    [new RegExp(hosts.map((host) => `${host}\\.(org|io|com)`).join('|')), 'a registry by its host'],
    [/\b(TO[D]O|FIX[M]E|X[X]X)\b/, 'something left for later'],
  ]
  const folders = ['src', 'bin', 'test', 'bench', 'examples', '.ci']
  const files = folders.flatMap((folder) =>
    filesBelow(folder, /\.(ts|mjs|js|sh|py|go|java|json|md)$/),
  )
  const top = [
    'README.md',
    'ARCHITECTURE.md',
    'CHANGELOG.md',
    'Dockerfile',
    'package.json',
    '.ci/run',
  ]
  const wrong: string[] = []
  for (const file of [...files, ...top.filter((each) => existsSync(join(root, each)))]) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const [rule, what] of rules) {
      const match = rule.exec(text)
      if (match) wrong.push(`${file} names ${what}: ${match[0].trim()}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

t.test('package-lock.json fits every platform', (t) => {
  const script = join(root, 'test', 'tools', 'complete-lock.mjs')
  t.doesNotThrow(() => execFileSync(process.execPath, [script, '--check']))
  t.end()
})

type PackageJson = {
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

function packageJson(): PackageJson {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageJson
}
