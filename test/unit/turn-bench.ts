/** A TURN client under a clock that jumps, and a server that says what the test wants. */
import { nodeCrypto } from '../../src/node/crypto.js'
import { nodeLongTermKey } from '../../src/node/long-term-key.js'
import {
  errorCodeAttribute,
  readXorMappedAddress,
  xorMappedAddressAttribute,
} from '../../src/transports/stun/attributes.js'
import {
  type Attribute,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type MessageClass,
} from '../../src/transports/stun/message.js'
import { lifetimeAttribute } from '../../src/transports/turn/attributes.js'
import { isChannelData } from '../../src/transports/turn/channel-data.js'
import { TurnClient, type TurnClientOptions } from '../../src/transports/turn/client.js'
import { Refresh, TurnAttributeType } from '../../src/transports/turn/constants.js'
import type { TurnEvent } from '../../src/transports/turn/events.js'
import { SeededRandom } from '../sim/seeded-random.js'

export const text = (value: string): Uint8Array => new TextEncoder().encode(value)
export const key: Uint8Array = nodeLongTermKey('alice', 'realm', 'secret')
export const relayed = { address: '203.0.113.1', port: 50_000 } as const
export const mapped = { address: '198.51.100.7', port: 41_641 } as const

export class TurnBench {
  now = 1000
  relayed: { address: string; port: number } = relayed
  /** What has been sent as data: ChannelData, as it is. */
  readonly channelData: Uint8Array[] = []
  readonly client: TurnClient

  constructor(options: Partial<TurnClientOptions> = {}) {
    this.client = new TurnClient({
      crypto: nodeCrypto,
      random: new SeededRandom('turn'),
      longTermKey: nodeLongTermKey,
      transport: 'udp',
      credentials: () => ({ username: 'alice', password: 'secret' }),
      ...options,
    })
  }

  sent(): DecodedMessage[] {
    const all: DecodedMessage[] = []
    for (let out = this.client.pollTransmit(); out; out = this.client.pollTransmit()) {
      if (isChannelData(out[0]!)) this.channelData.push(out)
      else all.push(decodeMessage(out))
    }
    return all
  }

  events(): TurnEvent[] {
    const all: TurnEvent[] = []
    for (let event = this.client.pollEvent(); event; event = this.client.pollEvent()) all.push(event)
    return all
  }

  /** To the next deadline. */
  jump(): void {
    this.now = this.client.pollTimeout()!
    this.client.handleTimeout(this.now)
  }

  /** Lets this much time pass, with all deadlines in it. `answer`: what the server does about each request. */
  pass(ms: number, answer: (request: DecodedMessage) => void = () => undefined): DecodedMessage[] {
    const end = this.now + ms
    const all: DecodedMessage[] = []
    for (;;) {
      for (let sent = this.sent(); sent.length > 0; sent = this.sent()) {
        all.push(...sent)
        sent.filter((message) => message.class === 'request').forEach(answer)
      }
      const at = this.client.pollTimeout()
      if (at === undefined || at > end) break
      this.now = Math.max(this.now, at)
      this.client.handleTimeout(this.now)
    }
    this.now = end
    return all
  }

  succeed(
    request: DecodedMessage,
    attributes: readonly Attribute[] = [],
    signedWith: Uint8Array | undefined = key,
  ): void {
    this.#say('success', request, attributes, signedWith)
  }

  /** A success that nobody has signed. */
  pretend(request: DecodedMessage, attributes: readonly Attribute[] = []): void {
    this.#say('success', request, attributes, undefined)
  }

  /** @param nonce of the challenge, where it is one */
  refuse(
    request: DecodedMessage,
    code: number,
    nonce?: string,
    isSigned = false,
    more: readonly Attribute[] = [],
  ): void {
    const challenge = [
      { type: TurnAttributeType.Realm, value: text('realm') },
      { type: TurnAttributeType.Nonce, value: text(nonce ?? '') },
    ]
    const error = errorCodeAttribute({ code, reason: 'No\u001b[2J' })
    this.#say('error', request, [error, ...(nonce ? challenge : []), ...more], isSigned ? key : undefined)
  }

  challenged(): DecodedMessage {
    this.client.start(this.now)
    this.refuse(this.sent()[0]!, 401, 'first')
    return this.sent()[0]!
  }

  grant(request: DecodedMessage, signedWith: Uint8Array = key, seconds = 600): void {
    const relay = xorMappedAddressAttribute(this.relayed, request.transactionId)
    const attributes = [
      { type: TurnAttributeType.XorRelayedAddress, value: relay.value },
      xorMappedAddressAttribute(mapped, request.transactionId),
      lifetimeAttribute(seconds * 1000),
    ]
    this.succeed(request, attributes, signedWith)
  }

  /** Says yes to a request that is not for an allocation. */
  agree(request: DecodedMessage, seconds = 600): void {
    this.succeed(request, request.method === Refresh ? [lifetimeAttribute(seconds * 1000)] : [])
  }

  allocated(seconds = 600): this {
    this.grant(this.challenged(), key, seconds)
    const events = this.events()
    if (events[0]?.type !== 'allocated') throw new Error(`not allocated: ${JSON.stringify(events)}`)
    return this
  }

  #say(
    messageClass: MessageClass,
    { method, transactionId }: DecodedMessage,
    attributes: readonly Attribute[],
    signedWith: Uint8Array | undefined,
  ): void {
    const integrity = signedWith && { crypto: nodeCrypto, key: signedWith }
    const message = { class: messageClass, method, transactionId, attributes }
    this.client.handleBytes(this.now, encodeMessage(message, integrity && { integrity }))
  }
}

/** The addresses that a request is about. */
export function peersOf(request: DecodedMessage): string[] {
  return request.attributes
    .filter(({ type }) => type === TurnAttributeType.XorPeerAddress)
    .map(({ value }) => readXorMappedAddress(value, request.transactionId)!.address)
}

export function lifetimeOf(request: DecodedMessage): number {
  const value = findAttribute(request, TurnAttributeType.Lifetime)!
  return new DataView(value.buffer, value.byteOffset).getUint32(0)
}
