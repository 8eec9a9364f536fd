// Whole processes, timed in interleaved rounds, so that a busy machine is as busy for all of them.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const gonet = join(root, 'dist', 'bin', 'gonet.js')

// What the environment has Node do at each start, such as reading certificates, is no part of what is compared.
for (const name of Object.keys(process.env)) if (name.startsWith('NODE_')) delete process.env[name]

/** What a bare start of node takes, in ms. */
export function bareStart() {
  return timeOf(process.execPath, ['-e', '0'])
}

/** How long a program takes, in ms. */
export function timeOf(program, args) {
  const started = performance.now()
  const { status } = spawnSync(program, args, { stdio: 'ignore' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`)
  return performance.now() - started
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** What was compared, on what. */
export function printVersions(command) {
  if (!existsSync(gonet)) {
    process.stderr.write('There is no dist/: run npm run build first\n')
    process.exit(2)
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const machine = cpus()
  process.stdout.write(
    `gonet ${version}, node ${process.version}, ${machine.length} × ${machine[0]?.model}\n`,
  )
  process.stdout.write(`${command}, against node -e 0\n`)
}

/** Prints medians and their ratio; more than `limit`, where there is one, makes this process fail. */
export function printRatio(name, times, bare, limit = Number.POSITIVE_INFINITY) {
  const ratio = median(times) / median(bare)
  const [mine, base] = [median(times).toFixed(1), median(bare).toFixed(1)]
  process.stdout.write(`${times.length} rounds, medians: ${name} ${mine} ms, bare node ${base} ms\n`)
  const atMost = limit === Number.POSITIVE_INFINITY ? '' : ` (at most ${limit})`
  process.stdout.write(`ratio ${ratio.toFixed(2)}${atMost}\n`)
  if (ratio > limit) process.exitCode = 1
}

/** A process that prints an object a line: its events can be waited for. */
export class Peer {
  #waiting = []
  #buffer = ''

  constructor(program, args, options = {}) {
    this.child = spawn(process.execPath, [program, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      ...options,
    })
    this.ended = new Promise((resolve) => this.child.on('close', resolve))
    this.child.stdin.on('error', () => undefined)
    this.child.stdout.on('data', (chunk) => {
      const lines = (this.#buffer + chunk).split('\n')
      this.#buffer = lines.pop()
      for (const line of lines) this.#handle(JSON.parse(line))
    })
  }

  /** The next event that passes a test; it must be asked for before it comes. */
  next(passes, limitMs = 15_000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('an event did not come in time')), limitMs)
      this.#waiting.push({
        passes,
        resolve: (event) => {
          clearTimeout(timer)
          resolve(event)
        },
      })
    })
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM')
    await this.ended
  }

  #handle(event) {
    const index = this.#waiting.findIndex(({ passes }) => passes(event))
    if (index >= 0) this.#waiting.splice(index, 1)[0].resolve(event)
  }
}
