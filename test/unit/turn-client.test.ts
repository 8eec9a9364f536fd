import { describe, expect, it } from 'vitest'
import { nodeCrypto } from '../../src/node/crypto.js'
import { nodeLongTermKey } from '../../src/node/long-term-key.js'
import { errorCodeAttribute, xorMappedAddressAttribute } from '../../src/transports/stun/attributes.js'
import {
  type Attribute,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  verifyIntegrity,
} from '../../src/transports/stun/message.js'
import { lifetimeAttribute } from '../../src/transports/turn/attributes.js'
import { TurnClient } from '../../src/transports/turn/client.js'
import {
  Allocate,
  CreatePermission,
  Refresh,
  TurnAttributeType,
} from '../../src/transports/turn/constants.js'
import type { TurnEvent } from '../../src/transports/turn/events.js'
import { SeededRandom } from '../sim/seeded-random.js'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const key = nodeLongTermKey('alice', 'realm', 'secret')
const relayed = { address: '203.0.113.1', port: 50_000 }
const mapped = { address: '198.51.100.7', port: 41_641 }

/** A client under a clock that jumps, and a server that says what the test wants. */
class Bench {
  now = 1000
  readonly client: TurnClient = new TurnClient({
    crypto: nodeCrypto,
    random: new SeededRandom('turn'),
    longTermKey: nodeLongTermKey,
    transport: 'udp',
    credentials: () => ({ username: 'alice', password: 'secret' }),
  })

  sent(): DecodedMessage[] {
    const all: DecodedMessage[] = []
    for (let out = this.client.pollTransmit(); out; out = this.client.pollTransmit())
      all.push(decodeMessage(out))
    return all
  }

  events(): TurnEvent[] {
    const all: TurnEvent[] = []
    for (let event = this.client.pollEvent(); event; event = this.client.pollEvent()) all.push(event)
    return all
  }

  jump(): void {
    this.now = this.client.pollTimeout()!
    this.client.handleTimeout(this.now)
  }

  succeed(
    request: DecodedMessage,
    attributes: readonly Attribute[],
    signedWith: Uint8Array | undefined,
  ): void {
    const { method, transactionId } = request
    const integrity = signedWith && { crypto: nodeCrypto, key: signedWith }
    const message = { class: 'success' as const, method, transactionId, attributes }
    this.client.handleBytes(this.now, encodeMessage(message, integrity && { integrity }))
  }

  refuse({ method, transactionId }: DecodedMessage, code: number, nonce?: string, isSigned = false): void {
    const challenge = [
      { type: TurnAttributeType.Realm, value: text('realm') },
      { type: TurnAttributeType.Nonce, value: text(nonce ?? '') },
    ]
    const attributes = [errorCodeAttribute({ code, reason: 'No\u001b[2J' }), ...(nonce ? challenge : [])]
    const message = { class: 'error' as const, method, transactionId, attributes }
    const integrity = { crypto: nodeCrypto, key }
    this.client.handleBytes(this.now, encodeMessage(message, isSigned ? { integrity } : {}))
  }

  challenged(): DecodedMessage {
    this.client.start(this.now)
    this.refuse(this.sent()[0]!, 401, 'first')
    return this.sent()[0]!
  }

  grant(request: DecodedMessage, signedWith: Uint8Array | undefined = key, seconds = 600): void {
    const relay = xorMappedAddressAttribute(relayed, request.transactionId)
    this.succeed(
      request,
      [
        { type: TurnAttributeType.XorRelayedAddress, value: relay.value },
        xorMappedAddressAttribute(mapped, request.transactionId),
        lifetimeAttribute(seconds * 1000),
      ],
      signedWith,
    )
  }

  allocated(): this {
    this.grant(this.challenged())
    expect(this.events()).toEqual([{ type: 'allocated', relayed, mapped }])
    return this
  }
}

describe('a TURN client', () => {
  it('asks, is challenged, signs, and believes a signed answer only', () => {
    const bench = new Bench()
    const request = bench.challenged()
    expect(request.method).toBe(Allocate)
    expect(verifyIntegrity(request, nodeCrypto, key)).toBe(true)
    bench.grant(request, new Uint8Array(16))
    bench.succeed(request, [lifetimeAttribute(600_000)], undefined)
    bench.refuse(request, 486)
    expect(bench.events()).toEqual([])
    expect(bench.client.counters.unauthentic).toBe(3)
    bench.grant(request)
    expect(bench.events()).toEqual([{ type: 'allocated', relayed, mapped }])
  })

  it('gives up for good where the same challenge comes again', () => {
    const bench = new Bench()
    bench.refuse(bench.challenged(), 401, 'first')
    const [failed] = bench.events()
    expect(failed).toMatchObject({ type: 'failed', code: 'turn-unauthorized', final: true })
    expect(JSON.stringify(failed)).not.toContain('\\u001b')
    expect(bench.client.pollTimeout()).toBeUndefined()
  })

  it('sends again, unchanged, then says that nobody answers, and tries anew', () => {
    const bench = new Bench()
    bench.client.start(bench.now)
    const sent = bench.sent()
    for (let jumps = 0; jumps < 7; jumps++) {
      bench.jump()
      sent.push(...bench.sent())
    }
    expect(sent).toHaveLength(7)
    for (const each of sent) expect(each).toEqual(sent[0])
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unreachable', final: false }])
    bench.jump()
    expect(bench.sent()[0]!.transactionId).not.toEqual(sent[0]!.transactionId)
  })

  it('makes a request anew when its nonce has gone stale, four times at most', () => {
    const bench = new Bench().allocated()
    bench.client.permit(bench.now, ['192.0.2.9'])
    let request = bench.sent()[0]!
    for (const nonce of ['second', 'third', 'fourth']) {
      bench.refuse(request, 438, nonce)
      const [again] = bench.sent()
      expect(again!.method).toBe(CreatePermission)
      expect(again!.transactionId).not.toEqual(request.transactionId)
      expect(findAttribute(again!, TurnAttributeType.Nonce)).toEqual(text(nonce))
      expect(verifyIntegrity(again!, nodeCrypto, key)).toBe(true)
      request = again!
    }
    bench.refuse(request, 438, 'fifth')
    expect(bench.sent()).toEqual([])
  })

  it('asks for its allocation when nothing comes, and for another where it is gone', () => {
    const bench = new Bench().allocated()
    bench.jump()
    expect(bench.now).toBe(26_000)
    const [refresh] = bench.sent()
    expect(refresh!.method).toBe(Refresh)
    bench.refuse(refresh!, 437, undefined, true)
    expect(bench.events()).toMatchObject([{ type: 'lost', code: 'turn-mismatch', status: 437 }])
    bench.jump()
    expect(bench.sent()[0]!.method).toBe(Allocate)
  })
})
