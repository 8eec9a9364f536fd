/** The command where nobody reads what it writes, and without a broker. */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest'
import { gonet } from './workbench.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gonet-e2e-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

it.skipIf(process.platform !== 'linux')(
  'leaves when it is told to, though the pipe that it writes to is full',
  async () => {
    const path = join(folder, 'pipe')
    execFileSync('mkfifo', [path])
    const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    expect(() => {
      while (true) writeSync(pipe, Buffer.alloc(4096))
    }).toThrow(/EAGAIN/)
    const options = ['--verbose', '--state', folder, '--timeout', '60']
    const unreachable = ['--set', 'adapters.mqtt.url=mqtt://127.0.0.1:9']
    const child = spawn(process.execPath, [gonet, ...options, ...unreachable, 'create'], {
      cwd: folder,
      stdio: ['ignore', pipe, 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let log = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (log.includes('listening')) child.kill('SIGTERM')
    })
    const code = await new Promise((resolve) => child.on('close', resolve))
    closeSync(pipe)
    expect(code).toBe(0)
  },
)
