/**
 * MQTT through a WebSocket (MQTT 5 section 6). A file of its own, since the WebSocket library is loaded where
 * a URL asks for it, and not before.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { streamBuilder } from 'mqtt/lib/connect/ws'
import type { BrokerSettings } from './settings.js'

/**
 * Of one WebSocket message, which is collected whole. Some brokers put several packets into one, so that it
 * may be larger than a packet; of the packets in it, each is limited by itself.
 */
const MaxMessageBytes = 65_536
const MaxFragments = 1024

/**
 * A stream of MQTT over a socket that is still connecting. Its end is the socket's.
 * @param socket TCP or TLS; so no agent, proxy or environment has a say in how it connects
 */
export function openWebSocket(
  socket: Socket,
  { host, port, secureContext, webSocketPath = '/' }: BrokerSettings,
): Duplex {
  // The library only passes its client on to a hook that we do not use.
  const noClient = undefined as never
  const stream = streamBuilder(noClient, {
    protocol: secureContext === undefined ? 'ws' : 'wss',
    hostname: host.includes(':') ? `[${host}]` : host,
    port,
    path: webSocketPath,
    wsOptions: {
      createConnection: () => socket,
      maxPayload: MaxMessageBytes,
      maxFragments: MaxFragments,
      // A compressed message could be a thousand times as large as what came in.
      perMessageDeflate: false,
      followRedirects: false,
    },
  }) as unknown as Duplex
  // A packet is written in many pieces, each of which would be a message of its own.
  stream._writev = (pieces, callback) => {
    stream._write(
      Buffer.concat(pieces.map(({ chunk }) => chunk as Buffer)),
      'buffer' as BufferEncoding,
      callback,
    )
  }
  // After an error of the broker's, the library would wait half a minute for its farewell.
  const destroy = stream._destroy.bind(stream)
  stream._destroy = (error, callback) => {
    socket.destroy()
    destroy(error, callback)
  }
  return stream
}
