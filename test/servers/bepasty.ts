/** Debian's bepasty on a free port of 127.0.0.1, with files of its own in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificates, makeCertificates } from './certificates.js'
import { freePort } from './free-port.js'
import type { TestServer } from './test-server.js'

export interface BepastyOptions {
  /** Permissions by password, such as `list,create,read,delete`. */
  readonly permissions: Readonly<Record<string, string>>
  readonly tls?: boolean
}

export interface Bepasty extends TestServer {
  /** For a server with TLS. */
  readonly certificates: Certificates | undefined
}

// Debian's Python, whatever else is on the PATH.
const python = '/usr/bin/python3'
const library = '/usr/lib/python3/dist-packages/bepasty'

/** Why bepasty cannot be started here, or undefined where it can. */
export const bepastyMissing: string | undefined =
  existsSync(python) && existsSync(library) ? undefined : 'bepasty is not installed (apt-get install bepasty)'

/** What `bepasty-server` does, and TLS where there is a certificate. */
const Program = `
import sys
from bepasty.app import create_app
port, *certificate = sys.argv[1:]
create_app().run(host='127.0.0.1', port=int(port), threaded=True, ssl_context=tuple(certificate) or None)
`

export async function startBepasty({ permissions, tls = false }: BepastyOptions): Promise<Bepasty> {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-bepasty-'))
  const port = await freePort()
  const certificates = tls ? makeCertificates(folder) : undefined
  const storage = join(folder, 'storage')
  mkdirSync(storage)
  const config = join(folder, 'bepasty.conf')
  const lines = [
    `STORAGE_FILESYSTEM_DIRECTORY = ${JSON.stringify(storage)}`,
    "SECRET_KEY = 'only for tests'",
    `PERMISSIONS = ${JSON.stringify(permissions)}`,
    "DEFAULT_PERMISSIONS = ''",
  ]
  writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 })
  let child: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    const ended = child
    child = undefined
    if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return
    const gone = once(ended, 'exit')
    ended.kill('SIGKILL')
    await gone
  }
  const start = async (): Promise<void> => {
    await stop()
    child = await run(port, config, certificates)
  }
  const close = async (): Promise<void> => {
    await stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }
  return { port, certificates, stop, start, close }
}

/** Resolves when it accepts connections. */
async function run(
  port: number,
  config: string,
  certificates: Certificates | undefined,
): Promise<ChildProcess> {
  const files = certificates === undefined ? [] : [certificates.cert, certificates.key]
  const child = spawn(python, ['-c', Program, String(port), ...files], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', BEPASTY_CONFIG: config },
  })
  // A test run that is ended in the middle takes its servers with it.
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  const deadline = Date.now() + 20_000
  while (!(await listens(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      kill()
      throw new Error('bepasty did not start')
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return child
}

/** Whether something answers, be it with an error. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/apis/rest' })
    asked.on('response', (answer) => {
      answer.resume()
      resolve(true)
    })
    asked.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED')
    })
    asked.end()
  })
}
