/** A WebSocket server that does what a test tells it, with frames made by hand (RFC 6455). */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

export interface WebSocketServer {
  readonly port: number
  close(): Promise<void>
}

/** Called after the handshake. */
export type OnWebSocket = (socket: Socket, request: IncomingMessage) => void

export async function startWebSocketServer(onOpen: OnWebSocket): Promise<WebSocketServer> {
  const sockets = new Set<Socket>()
  const server = createServer((_request, response) => response.writeHead(404).end())
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.on('upgrade', (request) => {
    const { socket } = request
    const key = request.headers['sec-websocket-key'] ?? ''
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
    lines.push(`Sec-WebSocket-Accept: ${accept}`, 'Sec-WebSocket-Protocol: mqtt')
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    onOpen(socket, request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return {
    port: address.port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const Opcode = { continuation: 0, binary: 2, ping: 9 } as const

/** A frame from a server (section 5.2). */
export function frame(bytes: Uint8Array, opcode: number = Opcode.binary, isFinal = true): Uint8Array {
  const { length } = bytes
  const lengthField =
    length < 126
      ? [length]
      : length < 65_536
        ? [126, length >> 8, length & 255]
        : [127, 0, 0, 0, 0, ...Buffer.from(Uint32Array.of(length).buffer).reverse()]
  return Buffer.concat([Uint8Array.of((isFinal ? 0x80 : 0) | opcode, ...lengthField), bytes])
}
