import { describe, expect, it } from 'vitest'
import { openUdpSocket } from '../../src/node/udp-socket.js'

describe('a UDP socket', () => {
  it('outlives an answer to a datagram that came from port 0', async () => {
    const socket = await openUdpSocket(4, 0)
    expect(() => socket.send(Uint8Array.of(1), { address: '127.0.0.1', port: 0 })).not.toThrow()
    await socket.close()
    await socket.close()
  })
})
