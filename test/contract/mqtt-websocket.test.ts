/** MQTT in WebSockets: what is asked, what is bounded, and what is said where it does not work. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { mosquittoMissing } from '../servers/mosquitto.js'
import { frame, type OnWebSocket, Opcode, startWebSocketServer } from '../servers/websocket.js'
import { atEnd, Connack5, fakeBroker, mosquitto, open } from './mqtt-bench.js'

const webSocketBroker = async (onOpen: OnWebSocket): Promise<string> => {
  const server = await startWebSocketServer(onOpen)
  atEnd(() => server.close())
  return `ws://127.0.0.1:${server.port}`
}
/** Lets in whoever says anything. */
const welcome = (socket: Socket): void => {
  socket.once('data', () => socket.write(frame(Connack5)))
}
const withoutLabel = (reason: string): string => reason.replace(/^127\.0\.0\.1:\d+: /, '')

describe('over a WebSocket', () => {
  it('keeps path and query of the URL, and asks for nothing but MQTT', async () => {
    const requests: IncomingMessage[] = []
    const url = await webSocketBroker((socket, request) => {
      requests.push(request)
      welcome(socket)
    })
    const at = `${url.replace('//', '//alice:hunter2@')}/mqtt/of%20us?token=a+b&c`
    await (await open({ url: [at] })).up()
    const { url: path, headers } = requests[0]!
    expect(path).toBe('/mqtt/of%20us?token=a+b&c')
    expect(headers).toMatchObject({ host: url.slice(5), 'sec-websocket-protocol': 'mqtt' })
    for (const name of ['authorization', 'origin', 'sec-websocket-extensions', 'cookie']) {
      expect(headers[name]).toBeUndefined()
    }
  })

  it('goes through no proxy of the environment', async () => {
    let connections = 0
    const proxy = (await fakeBroker(() => (connections += 1))).replace('mqtt:', 'http:')
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy']) {
      vi.stubEnv(name, proxy)
    }
    vi.stubEnv('NODE_USE_ENV_PROXY', '1')
    onTestFinished(() => void vi.unstubAllEnvs())
    await (await open({ url: [await webSocketBroker(welcome)] })).up()
    expect(connections).toBe(0)
  })

  it('takes packets as they come, several to a message or one in pieces', async () => {
    const url = await webSocketBroker((socket) => {
      const ping = frame(Uint8Array.of(1), Opcode.ping)
      const [first, rest] = [Connack5.subarray(0, 2), Connack5.subarray(2)]
      const pong = Uint8Array.of(0xd0, 0)
      socket.once('data', () => {
        socket.write(frame(first, Opcode.binary, false))
        socket.write(ping)
        socket.write(frame(rest, Opcode.continuation, false))
        socket.write(frame(Buffer.concat([pong, pong]), Opcode.continuation))
      })
    })
    await (await open({ url: [url] })).up()
  })

  const tooLarge = Uint8Array.of(0x30, 0xff, 0xff, 0x01)
  it.each([
    ['a packet that is too large', frame(tooLarge), /a packet that is too large$/],
    [
      'a packet that is too large, byte by byte',
      Buffer.concat(Array.from(tooLarge, (byte) => frame(Uint8Array.of(byte)))),
      /a packet that is too large$/,
    ],
    // The header alone: what it announces never comes.
    ['a message that is too large', frame(new Uint8Array(65_537)).subarray(0, 10), /a message that is too/],
    [
      'a message that is too large, in pieces',
      Buffer.concat([
        frame(new Uint8Array(65_536), Opcode.binary, false),
        frame(new Uint8Array(1), Opcode.continuation),
      ]),
      /a message that is too large$/,
    ],
    [
      'a message in countless pieces',
      Buffer.concat([
        frame(Uint8Array.of(0xd0), Opcode.binary, false),
        ...Array.from({ length: 2000 }, () => frame(Uint8Array.of(0), Opcode.continuation, false)),
      ]),
      /\w/,
    ],
    ['compressed messages', Uint8Array.of(0xc2, 1, 0), /does not speak WebSocket$/],
    ['frames that are none', Uint8Array.of(0xff, 0xff, 0xff), /does not speak WebSocket$/],
  ])('leaves a broker that sends %s', async (_what, sent, reason) => {
    const url = await webSocketBroker((socket) => {
      socket.once('data', () => {
        socket.write(frame(Connack5))
        socket.write(sent)
      })
    })
    expect(await (await open({ url: [url] })).down()).toMatch(reason)
  })

  it('leaves a broker that sends pings and does not read', async () => {
    const url = await webSocketBroker((socket) => {
      const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(new Uint8Array(125), Opcode.ping)))
      const flood = (): void => {
        socket.pause()
        while (!socket.destroyed && socket.write(pings));
      }
      socket.once('data', () => {
        socket.write(frame(Connack5))
        flood()
      })
      socket.on('drain', flood)
    })
    const host = await open({ url: [url] })
    expect(await host.down()).toMatch(/\w/)
  })

  it('says what a server answers that has no MQTT there', async () => {
    const answer = async (text: string): Promise<string> => {
      const url = await fakeBroker((socket) => {
        socket.once('data', () => socket.end(text))
      })
      return withoutLabel(await (await open({ url: [url.replace('mqtt:', 'ws:')] })).down())
    }
    const none = 'no WebSocket at this path of the URL: the broker answers HTTP'
    expect(await answer('HTTP/1.1 404 Not Found\r\n\r\n')).toBe(`${none} 404`)
    expect(await answer('HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')).toBe(
      'the broker does not speak WebSocket',
    )
    expect(await answer('SSH-2.0-OpenSSH\r\n')).toBe(
      'the broker does not speak HTTP, so no WebSocket, on this port',
    )
    expect(await answer(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`)).toMatch(/\w/)
    let followed = 0
    const elsewhere = await fakeBroker(() => (followed += 1))
    const location = elsewhere.replace('mqtt:', 'http:')
    expect(await answer(`HTTP/1.1 301 Moved\r\nLocation: ${location}\r\n\r\n`)).toBe(`${none} 301`)
    expect(followed).toBe(0)
  })

  it.each(['up', 'connecting'])('ends at once where the broker hangs while it is %s', async (when) => {
    let came = (): void => undefined
    const connected = new Promise<void>((resolve) => {
      came = resolve
    })
    const url =
      when === 'up'
        ? await webSocketBroker(welcome)
        : (await fakeBroker((socket) => socket.on('data', came))).replace('mqtt:', 'ws:')
    const host = await open({ url: [url] })
    await (when === 'up' ? host.up() : connected)
    const startedAt = performance.now()
    await host.adapter.close()
    expect(performance.now() - startedAt).toBeLessThan(1500)
  })

  it('says so where the line is cut', async () => {
    let cut = (): void => undefined
    const url = await webSocketBroker((socket) => {
      welcome(socket)
      cut = () => socket.destroy()
    })
    const host = await open({ url: [url] })
    await host.up()
    cut()
    expect(withoutLabel(await host.down())).toBe('the broker closed the connection')
    await host.up()
  })

  describe.skipIf(mosquittoMissing !== undefined)('with mosquitto', () => {
    it('says what speaks something else', async () => {
      const [plain, webSocket] = [await mosquitto(), await mosquitto({ webSockets: true })]
      const [secure, secureWebSocket] = [
        await mosquitto({ tls: true }),
        await mosquitto({ tls: true, webSockets: true }),
      ]
      const reasonAt = async (url: string, scheme: string): Promise<string> =>
        withoutLabel(await (await open({ url: [url.replace(/^\w+/, scheme)] })).down())
      expect(await reasonAt(plain.url, 'ws')).toMatch(/perhaps .* no WebSocket/)
      expect(await reasonAt(secure.url, 'ws')).toMatch(/perhaps .* TLS: wss:|does not speak HTTP/)
      expect(await reasonAt(secureWebSocket.url, 'ws')).toMatch(/perhaps .* TLS: wss:|does not speak HTTP/)
      expect(await reasonAt(webSocket.url, 'wss')).toMatch(/does not agree on TLS|perhaps without TLS: ws:/)
      expect(await reasonAt(secureWebSocket.url, 'wss')).toMatch(/not signed by an authority that we trust/)
    })
  })
})

it('no WebSocket library is loaded for URLs without', async () => {
  const entry = fileURLToPath(new URL('../../src/adapters/mqtt/adapter.ts', import.meta.url))
  const { metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    outdir: 'nowhere',
    metafile: true,
    write: false,
  })
  const loadedWith = (name: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(name)) return seen
    seen.add(name)
    for (const { path, kind } of metafile.outputs[name]?.imports ?? []) {
      if (kind !== 'dynamic-import') loadedWith(path, seen)
    }
    return seen
  }
  const isWebSocket = (input: string): boolean => input.includes('node_modules/ws/')
  const [main = ''] = Object.keys(metafile.outputs).filter(
    (name) => metafile.outputs[name]?.entryPoint?.endsWith('mqtt/adapter.ts') === true,
  )
  const inputs = [...loadedWith(main)].flatMap((name) => Object.keys(metafile.outputs[name]?.inputs ?? {}))
  expect(inputs.some((input) => input.includes('node_modules/mqtt/'))).toBe(true)
  expect(inputs.filter(isWebSocket)).toEqual([])
  expect(Object.keys(metafile.inputs).some(isWebSocket)).toBe(true)
})
