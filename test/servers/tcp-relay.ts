/** Stands between a client and a server on loopback, so that a test can cut the line, or see what passes. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TcpRelay {
  readonly port: number
  /** Everything that has passed, in both directions. */
  readonly seen: Buffer
  /** Cuts every connection, and takes no more. Idempotent. */
  close(): Promise<void>
  /** Cuts every connection; new ones pass. */
  cut(): void
  /** Forwards nothing any more; the connections stay open. */
  stall(): void
}

/** @param targetPort on 127.0.0.1 */
export async function startTcpRelay(targetPort: number): Promise<TcpRelay> {
  const sockets = new Set<Socket>()
  const seen: Buffer[] = []
  let isStalled = false
  const server = createServer((client) => {
    const target = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
    client.setNoDelay(true)
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.on('data', (bytes) => {
        if (isStalled) return
        seen.push(bytes)
        to.write(bytes)
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address.port,
    get seen() {
      return Buffer.concat(seen)
    },
    cut,
    stall: () => {
      isStalled = true
    },
    close: async () => {
      cut()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}
