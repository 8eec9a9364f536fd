/** A server that is another program, with files of its own in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from './free-port.js'
import type { TestServer } from './test-server.js'

export interface ChildServer extends TestServer {
  readonly folder: string
  /** Stops it without ending it: it accepts what comes, and answers nothing, until `stop`. */
  freeze(): void
}

export interface ChildServerOptions {
  readonly program: string
  /** Writes its files, before the first start, and returns its arguments. */
  readonly prepare: (folder: string, port: number) => readonly string[]
  /** The line of its log that says that it listens. */
  readonly ready: RegExp
}

export async function startChildServer({
  program,
  prepare,
  ready,
}: ChildServerOptions): Promise<ChildServer> {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-dns-'))
  const port = await freePort()
  const args = prepare(folder, port)
  let child: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (child === undefined) return
    const ended = child
    child = undefined
    if (ended.exitCode !== null || ended.signalCode !== null) return
    ended.kill('SIGKILL')
    await once(ended, 'exit')
  }
  const start = async (): Promise<void> => {
    await stop()
    child = await run(program, args, ready)
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
  return { port, folder, stop, start, close, freeze: () => void child?.kill('SIGSTOP') }
}

async function run(program: string, args: readonly string[], ready: RegExp): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  // A test run that is ended in the middle takes its servers with it.
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        if (said.length < 200) said.push(line)
        if (ready.test(line)) resolve()
      })
    }
    child.once('error', reject)
    child.once('exit', () => {
      reject(new Error(`${program} did not start: ${said.slice(-15).join(' | ')}`))
    })
  })
  return child
}
