// Goal: what the README says of settings is what the broker does.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { withSettingsTables } from '../tools/readme-settings.ts'
import { repositoryRoot } from '../tools/repository-root.ts'

t.test('the tables of settings are those of the program (npm run readme)', async (t) => {
  const readme = readFileSync(join(repositoryRoot(import.meta.url), 'README.md'), 'utf8')
  t.equal(withSettingsTables(readme), readme)
})
