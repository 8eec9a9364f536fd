// npm test: everything, on a bare clone. Arguments go to vitest: `npm test -- test/unit/cli.test.ts`.
// The last line is always `N passed, N failed, N skipped`. With CI=true a skipped test is a failure, and those that
// another Node may break run on the current LTS release as well.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { build, installLts, installPackages, installServers, root, run, say } from './setup.mjs'

/** What shows the same on any Node, and takes long: how hostile neighbours fare, and that tests bite. */
const NotOnLts = ['weakened/*', 'fuzz/*', 'contract/*-*', 'e2e/wrong-input', 'unit/record-flood'].map(
  (name) => `--exclude=test/${name}.test.ts`,
)

const inCi = process.env.CI === 'true'
const counts = { passed: 0, failed: 0, skipped: 0 }

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
  counts.failed += 1
  process.stdout.write(`${error instanceof Error ? error.message : error}\n`)
}

if (inCi && counts.skipped > 0) say('CI=true: skipped tests are failures')
process.exitCode = counts.failed > 0 || (inCi && counts.skipped > 0) ? 1 : 0
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)

/** One counted item; `checking` returns what was wrong, or nothing. */
async function check(name, checking) {
  const problem = await checking().catch((error) => error.message)
  counts[problem === '' ? 'passed' : 'failed'] += 1
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
    count(JSON.parse(readFileSync(report, 'utf8')), code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function count(report, code) {
  let failed = 0
  for (const { name, status, assertionResults } of report.testResults) {
    const ofFile = assertionResults.filter((test) => test.status === 'failed').length
    // A file that could not be loaded, or whose hooks failed, has no test to blame.
    failed += status === 'failed' ? Math.max(ofFile, 1) : ofFile
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed += 1
      if (['passed', 'failed'].includes(test.status)) continue
      counts.skipped += 1
      process.stdout.write(`skipped: ${relative(root, name)}: ${test.fullName}\n`)
    }
  }
  // Errors outside any test make vitest fail too.
  counts.failed += code === 0 ? failed : Math.max(failed, 1)
}

function runTool(node, title, tool, args, options) {
  return run(title, node, [join(root, 'node_modules', tool), ...args], options)
}
