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
  /** Cuts every connection on the client's side; the server is left with its half. New ones pass. */
  abandon(): void
  /** Forwards nothing any more; the connections stay open. */
  stall(): void
}

export interface TcpRelayOptions {
  /** Called with the first bytes of each connection: what it returns is the answer, and the server gets nothing. */
  readonly intercept?: (first: Buffer) => Uint8Array | undefined
}

/** @param targetPort on 127.0.0.1 */
export async function startTcpRelay(
  targetPort: number,
  { intercept }: TcpRelayOptions = {},
): Promise<TcpRelay> {
  const clients = new Set<Socket>()
  const targets = new Set<Socket>()
  const abandoned = new WeakSet<Socket>()
  const seen: Buffer[] = []
  let isStalled = false
  const server = createServer((client) => {
    const target = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
    client.setNoDelay(true)
    let isFirst = true
    for (const [from, to, all] of [
      [client, target, clients],
      [target, client, targets],
    ] as const) {
      all.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        all.delete(from)
        if (!abandoned.has(from)) to.destroy()
      })
      from.on('data', (bytes) => {
        if (isStalled) return
        const answer = from === client && isFirst ? intercept?.(bytes) : undefined
        if (from === client) isFirst = false
        if (answer !== undefined) {
          client.end(answer)
          return
        }
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
    for (const socket of [...clients, ...targets]) socket.destroy()
  }
  return {
    port: address.port,
    get seen() {
      return Buffer.concat(seen)
    },
    cut,
    abandon: () => {
      for (const client of clients) {
        abandoned.add(client)
        client.destroy()
      }
    },
    stall: () => {
      isStalled = true
    },
    close: async () => {
      cut()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}
