/** STUN and TURN servers of the simulated internet: what clients need of RFC 8489 and RFC 8656, and no more. */
import { formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { nodeLongTermKey } from '../../src/node/long-term-key.js'
import type { RelayServer } from '../../src/room/relays.js'
import {
  errorCodeAttribute,
  readXorMappedAddress,
  xorMappedAddressAttribute,
} from '../../src/transports/stun/attributes.js'
import { answerBinding } from '../../src/transports/stun/binding.js'
import {
  type Attribute,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type MessageClass,
} from '../../src/transports/stun/message.js'
import {
  dataAttribute,
  lifetimeAttribute,
  readXorAddress,
  xorPeerAddressAttribute,
} from '../../src/transports/turn/attributes.js'
import {
  decodeChannelData,
  encodeChannelData,
  isChannelData,
} from '../../src/transports/turn/channel-data.js'
import * as turn from '../../src/transports/turn/constants.js'
import { StreamDecoder } from '../../src/transports/turn/stream-framing.js'

/** Has a datagram travel from a server's address. */
export type Send = (source: SocketAddress, destination: SocketAddress, bytes: Uint8Array) => void

export class SimulatedServers {
  readonly stun: readonly SocketAddress[] = [
    { address: '198.51.100.101', port: 3478 },
    { address: '198.51.100.102', port: 3478 },
  ]
  readonly turn: SocketAddress = { address: '198.51.100.103', port: 3478 }
  readonly #send: Send
  readonly #relay: SimulatedTurnServer
  readonly #streams = new Map<string, (bytes: Uint8Array) => void>()

  constructor(send: Send) {
    this.#send = send
    this.#relay = new SimulatedTurnServer(this.turn.address, send)
  }

  /** @returns whether the datagram was for one of them */
  handleDatagram(source: SocketAddress, destination: SocketAddress, bytes: Uint8Array): boolean {
    if (this.stun.some(({ address }) => address === destination.address)) {
      this.#send(destination, source, answerBinding(decodeMessage(bytes), source))
      return true
    }
    if (destination.address !== this.turn.address) return false
    if (destination.port === this.turn.port) {
      const reply = (answer: Uint8Array): void => this.#send(this.turn, source, answer)
      this.#relay.handleMessage(formatSocketAddress(source), source, bytes, reply)
    } else this.#relay.handleFromPeer(source, destination, bytes)
    return true
  }

  /** A client opens a stream to the TURN server. */
  connect(client: string, reply: (bytes: Uint8Array) => void): void {
    this.#streams.set(client, this.#relay.acceptStream(client, { address: '198.51.100.104', port: 1 }, reply))
  }

  handleStream(client: string, bytes: Uint8Array): void {
    this.#streams.get(client)?.(bytes)
  }
}

const User = { username: 'somebody', password: 'secret' }
const Realm = 'simulated'

/** What members are told of the server. */
export function relayServer(address: SocketAddress, transport: 'udp' | 'stream'): RelayServer {
  return { id: 'relay', address, transport, longTermKey: nodeLongTermKey, credentials: () => User }
}

interface Allocation {
  readonly relayed: SocketAddress
  readonly permissions: Set<string>
  readonly channels: Map<number, SocketAddress>
  /** Sends to the client. */
  readonly reply: (bytes: Uint8Array) => void
  /** Whether the client has come by a stream, where ChannelData is padded. */
  readonly isStream: boolean
}

export class SimulatedTurnServer {
  readonly #address: string
  readonly #send: Send
  readonly #key = nodeLongTermKey(User.username, Realm, User.password)
  readonly #byClient = new Map<string, Allocation>()
  readonly #byRelayed = new Map<number, Allocation>()

  /** @param address where relayed addresses are */
  constructor(address: string, send: Send) {
    this.#address = address
    this.#send = send
  }

  /** What a client's stream brings. @returns takes its bytes */
  acceptStream(
    client: string,
    seen: SocketAddress,
    reply: (bytes: Uint8Array) => void,
  ): (bytes: Uint8Array) => void {
    const decoder = new StreamDecoder()
    return (bytes) => {
      for (const message of decoder.push(bytes)) this.handleMessage(client, seen, message, reply, true)
    }
  }

  /** @param client who is asking, the same for all of its messages; @param seen the address it is seen at */
  handleMessage(
    client: string,
    seen: SocketAddress,
    bytes: Uint8Array,
    reply: (bytes: Uint8Array) => void,
    isStream = false,
  ): void {
    const allocation = this.#byClient.get(client)
    if (isChannelData(bytes[0] ?? 0)) {
      const { channel, bytes: data } = decodeChannelData(bytes)
      const peer = allocation?.channels.get(channel)
      if (allocation && peer) this.#send(allocation.relayed, peer, data.slice())
      return
    }
    const message = decodeMessage(bytes)
    const peer = readXorAddress(message, turn.TurnAttributeType.XorPeerAddress)
    if (message.class === 'indication') {
      const data = findAttribute(message, turn.TurnAttributeType.Data)
      if (allocation && peer && data && allocation.permissions.has(peer.address)) {
        this.#send(allocation.relayed, peer, data.slice())
      }
      return
    }
    reply(this.#answer(client, seen, message, peer, { reply, isStream }))
  }

  /** A datagram to a relayed address. */
  handleFromPeer(peer: SocketAddress, { port }: SocketAddress, bytes: Uint8Array): void {
    const allocation = this.#byRelayed.get(port)
    if (allocation?.permissions.has(peer.address) !== true) return
    const key = formatSocketAddress(peer)
    const channel = [...allocation.channels].find(([, each]) => formatSocketAddress(each) === key)?.[0]
    if (channel !== undefined) {
      allocation.reply(encodeChannelData(channel, bytes, allocation.isStream))
      return
    }
    const transactionId = new Uint8Array(12)
    const attributes = [xorPeerAddressAttribute(peer, transactionId), dataAttribute(bytes)]
    allocation.reply(encodeMessage({ class: 'indication', method: turn.Data, transactionId, attributes }, {}))
  }

  #answer(
    client: string,
    seen: SocketAddress,
    request: DecodedMessage,
    peer: SocketAddress | undefined,
    connection: Pick<Allocation, 'reply' | 'isStream'>,
  ): Uint8Array {
    const allocation = this.#byClient.get(client)
    switch (request.method) {
      case turn.Allocate: {
        if (findAttribute(request, turn.TurnAttributeType.Nonce) === undefined) return challenge(request)
        const { relayed } = allocation ?? this.#allocate(client, connection)
        const relay = xorMappedAddressAttribute(relayed, request.transactionId)
        return this.#succeed(request, [
          { type: turn.TurnAttributeType.XorRelayedAddress, value: relay.value },
          xorMappedAddressAttribute(seen, request.transactionId),
          lifetimeAttribute(turn.DefaultLifetime),
        ])
      }
      case turn.Refresh:
        return this.#succeed(request, [lifetimeAttribute(turn.DefaultLifetime)])
      case turn.ChannelBind: {
        const number = findAttribute(request, turn.TurnAttributeType.ChannelNumber)
        if (number && peer) allocation?.channels.set((number[0]! << 8) | number[1]!, peer)
      }
    }
    for (const { type, value } of request.attributes) {
      if (type !== turn.TurnAttributeType.XorPeerAddress) continue
      const permitted = readXorMappedAddress(value, request.transactionId)
      if (permitted) allocation?.permissions.add(permitted.address)
    }
    return this.#succeed(request, [])
  }

  #allocate(client: string, connection: Pick<Allocation, 'reply' | 'isStream'>): Allocation {
    const relayed = { address: this.#address, port: 50_000 + this.#byClient.size }
    const allocation = { relayed, permissions: new Set<string>(), channels: new Map(), ...connection }
    this.#byClient.set(client, allocation)
    this.#byRelayed.set(relayed.port, allocation)
    return allocation
  }

  #succeed(request: DecodedMessage, attributes: readonly Attribute[]): Uint8Array {
    return respond('success', request, attributes, this.#key)
  }
}

function challenge(request: DecodedMessage): Uint8Array {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value)
  return respond('error', request, [
    errorCodeAttribute({ code: 401, reason: 'Unauthorized' }),
    { type: turn.TurnAttributeType.Realm, value: text(Realm) },
    { type: turn.TurnAttributeType.Nonce, value: text('nonce') },
  ])
}

function respond(
  messageClass: MessageClass,
  { method, transactionId }: DecodedMessage,
  attributes: readonly Attribute[],
  key?: Uint8Array,
): Uint8Array {
  const integrity = key && { crypto: nodeCrypto, key }
  return encodeMessage({ class: messageClass, method, transactionId, attributes }, integrity && { integrity })
}
