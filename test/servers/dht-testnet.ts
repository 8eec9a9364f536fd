/** A DHT of hyperdht nodes on 127.0.0.1, in one process, which can be killed, stopped and restarted. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { TestServer } from './test-server.js'

export interface DhtTestnet extends TestServer {
  /** For `adapters.dht.bootstrap`. */
  readonly bootstrap: string
  /** Lets it answer nothing, until `stop`. */
  hang(): void
}

const program = fileURLToPath(new URL('dht-testnet.mjs', import.meta.url))

/** @param count nodes, on as many ports in a row */
export async function startDhtTestnet(count = 6): Promise<DhtTestnet> {
  const port = await freeUdpPorts(count)
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
    child = await run(port, count)
  }
  await start()
  return {
    port,
    bootstrap: `127.0.0.1:${port}`,
    stop,
    start,
    hang: () => void child?.kill('SIGSTOP'),
    close: stop,
  }
}

/** Resolves when all nodes are there. */
async function run(port: number, count: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, String(port), String(count)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString()
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => {
      resolve()
    })
    child.once('error', reject)
    child.once('exit', () => {
      reject(new Error(`the DHT did not start: ${said}`))
    })
  })
  // A test run that is ended in the middle takes its nodes with it.
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  return child
}

/** The first of so many UDP ports in a row that nobody has now, below those that the system gives away. */
async function freeUdpPorts(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000)
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(first + index)))
    if (free.every(Boolean)) return first
  }
}

async function isFree(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  try {
    socket.bind(port, '127.0.0.1')
    await once(socket, 'listening')
    return true
  } catch {
    return false
  } finally {
    socket.close()
  }
}
