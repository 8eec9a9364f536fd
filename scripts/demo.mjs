// npm run demo: sets a bare clone up and shows a host and a guest meeting.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { build, installPackages, root } from './setup.mjs'

try {
  await installPackages()
  await build()
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
const gonet = join(root, 'dist', 'bin', 'gonet.js')
const { status } = spawnSync(process.execPath, [gonet, 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exitCode = status ?? 1
