// npm test: everything, on a bare clone. Arguments go to vitest: `npm test -- test/unit/cli.test.ts`.
// The last line is always `N passed, N failed, N skipped`. With CI=true a skipped test is a failure, and those that
// another Node may break run on the current LTS release as well.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { build, installLts, installPackages, installServers, root, run, say } from './setup.mjs'

/** What shows the same on any Node, and takes long: how hostile neighbours fare, and that tests bite. */
const NotOnLts = [
  'weakened/*',
  'fuzz/*',
  'contract/*-*',
  'contract/opendht',
  'contract/pastebin',
  'e2e/docs-servers',
  'e2e/doctor',
  'e2e/wrong-input',
  'unit/record-flood',
  'interop/nat-*',
  'interop/turn',
  'interop/portmap',
  'e2e/nat-pairs',
  'e2e/path-changes',
].map((name) => `--exclude=test/${name}.test.ts`)

const inCi = process.env.CI === 'true'
const counts = { passed: 0, failed: 0, skipped: 0 }
/** Said again at the end, where a long output is read first. */
const failures = []

try {
  await installPackages()
  await installServers()
  await check('build', async () => {
    await build()
    return ''
  })
  await Promise.all([
    checkWith('types', 'typescript/bin/tsc', ['--noEmit']),
    checkWith('lint', 'eslint/bin/eslint.js', ['.']),
    checkWith('format', '@biomejs/biome/bin/biome', ['check', '.']),
    checkWith('nothing unused', 'knip/bin/knip.js', []),
  ])
  await runTests(process.execPath, process.argv.slice(2))
  const lts = inCi ? await installLts() : undefined
  if (lts !== undefined) await runTests(lts, [...NotOnLts, ...process.argv.slice(2)])
} catch (error) {
  fail(`${error instanceof Error ? error.message : error}`)
  process.stdout.write(`${error instanceof Error ? error.message : error}\n`)
}

if (inCi && counts.skipped > 0) say('CI=true: skipped tests are failures')
for (const failure of failures) process.stdout.write(`failed: ${failure}\n`)
process.exitCode = counts.failed > 0 || (inCi && counts.skipped > 0) ? 1 : 0
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)

/** One counted item; `checking` returns what was wrong, or nothing. */
async function check(name, checking) {
  const problem = await checking().catch((error) => error.message)
  if (problem === '') counts.passed += 1
  else fail(`${name}\n${problem.trimEnd()}`)
  process.stdout.write(problem === '' ? `✓ ${name}\n` : `✗ ${name}\n${problem.trimEnd()}\n`)
}

async function checkWith(name, tool, args) {
  await check(name, async () => {
    const { code, output } = await runTool(process.execPath, name, tool, args, { capture: true })
    return code === 0 ? '' : output || `exit code ${code}`
  })
}

async function runTests(node, args) {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-test-'))
  try {
    const report = join(folder, 'report.json')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const title =
      node === process.execPath ? `tests on Node ${process.version}` : 'tests on the LTS release of Node'
    const { code } = await runTool(node, title, 'vitest/vitest.mjs', ['run', ...reporters, ...args])
    count(title, JSON.parse(readFileSync(report, 'utf8')), code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function count(title, report, code) {
  const before = counts.failed
  for (const { name, status, message, assertionResults } of report.testResults) {
    const file = relative(root, name)
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed += 1
      else if (test.status === 'failed') fail(`${file}: ${test.fullName}: ${headOf(test.failureMessages)}`)
      else {
        counts.skipped += 1
        process.stdout.write(`skipped: ${file}: ${test.fullName}\n`)
      }
    }
    // A file that could not be loaded, or whose hooks failed, has no test to blame.
    const blamed = assertionResults.some((test) => test.status === 'failed')
    if (status === 'failed' && !blamed) fail(`${file}: ${headOf([message])}`)
  }
  if (code !== 0 && counts.failed === before) fail(`${title}: an error outside any test, exit code ${code}`)
}

function fail(what) {
  counts.failed += 1
  failures.push(what)
}

function headOf(messages) {
  return messages.join('\n').split('\n').slice(0, 12).join('\n')
}

function runTool(node, title, tool, args, options) {
  return run(title, node, [join(root, 'node_modules', tool), ...args], options)
}
