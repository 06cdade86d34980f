// A reporter for mocha: one JSON line for each thing that happens, so that a reader knows where a process that hangs has come to.
const write = (...fields) => process.stdout.write(`${JSON.stringify(fields)}\n`)
const titleOf = (test) => test.fullTitle().trim()

module.exports = class {
  constructor(runner) {
    const names = runner.constructor.constants
    const titles = []
    runner.suite.eachTest((test) => titles.push(titleOf(test)))
    runner.on(names.EVENT_RUN_BEGIN, () => write('begin', titles))
    runner.on(names.EVENT_RUN_END, () => write('end'))
    runner.on(names.EVENT_HOOK_BEGIN, (hook) => write('hook', hook.title))
    runner.on(names.EVENT_HOOK_END, () => write('hook end'))
    runner.on(names.EVENT_TEST_PASS, (test) => write('pass', titleOf(test)))
    runner.on(names.EVENT_TEST_PENDING, (test) => write('skip', titleOf(test)))
    runner.on(names.EVENT_TEST_FAIL, (test, error) => write('fail', titleOf(test), error.message))
  }
}
