import { describe, expect, it } from 'vitest'
import { nodeCrypto } from '../../src/node/crypto.js'
import { xorMappedAddressAttribute } from '../../src/transports/stun/attributes.js'
import { encodeMessage, findAttribute, verifyIntegrity } from '../../src/transports/stun/message.js'
import {
  dataAttribute,
  lifetimeAttribute,
  xorPeerAddressAttribute,
} from '../../src/transports/turn/attributes.js'
import {
  Allocate,
  CreatePermission,
  Data,
  Refresh,
  TurnAttributeType,
} from '../../src/transports/turn/constants.js'
import { key, mapped, relayed, TurnBench, text } from './turn-bench.js'

const peer = { address: '192.0.2.9', port: 4000 }
const foreigner = { address: '192.0.2.66', port: 4000 }

describe('a TURN client', () => {
  it('asks, is challenged, signs, and believes a signed answer only', () => {
    const bench = new TurnBench()
    const request = bench.challenged()
    expect(request.method).toBe(Allocate)
    expect(verifyIntegrity(request, nodeCrypto, key)).toBe(true)
    bench.grant(request, new Uint8Array(16))
    const relay = xorMappedAddressAttribute(relayed, request.transactionId)
    bench.pretend(request, [
      { type: TurnAttributeType.XorRelayedAddress, value: relay.value },
      xorMappedAddressAttribute(mapped, request.transactionId),
      lifetimeAttribute(600_000),
    ])
    bench.refuse(request, 486)
    expect(bench.events()).toEqual([])
    expect(bench.client.counters.unauthentic).toBe(3)
    bench.grant(request)
    expect(bench.events()).toEqual([{ type: 'allocated', relayed, mapped }])
  })

  it('takes no success before it has been challenged', () => {
    const bench = new TurnBench()
    bench.client.start(bench.now)
    const [request] = bench.sent()
    bench.grant(request!, new Uint8Array(16))
    expect(bench.events()).toEqual([])
  })

  it('hears no answer to what it has not asked', () => {
    const bench = new TurnBench()
    const request = bench.challenged()
    bench.grant({ ...request, transactionId: new Uint8Array(12) })
    bench.succeed({ ...request, method: Refresh }, [lifetimeAttribute(600_000)])
    expect(bench.events()).toEqual([])
    expect(bench.client.counters.unexpected).toBe(2)
  })

  it('gives up for good where the same challenge comes again, and nothing better', () => {
    const bench = new TurnBench()
    bench.refuse(bench.challenged(), 401, 'first')
    expect(bench.events()).toEqual([])
    bench.pass(2000)
    const [failed] = bench.events()
    expect(failed).toMatchObject({ type: 'failed', code: 'turn-unauthorized', status: 401, final: true })
    expect(JSON.stringify(failed)).not.toContain('\\u001b')
    expect(bench.client.pollTimeout()).toBeUndefined()
  })

  it('is not ended by somebody who sees its requests: the signed answer wins', () => {
    const bench = new TurnBench()
    bench.client.start(bench.now)
    const [first] = bench.sent()
    bench.refuse(first!, 403)
    expect(bench.events()).toEqual([])
    bench.refuse(first!, 401, 'first')
    const [request] = bench.sent()
    bench.refuse(request!, 401, 'first')
    bench.refuse(request!, 431)
    bench.refuse(request!, 508)
    expect(bench.pass(1900)).toHaveLength(3)
    bench.grant(request!)
    expect(bench.events()).toEqual([{ type: 'allocated', relayed, mapped }])
  })

  it('says what somebody says who does not sign, after two seconds, and tries again', () => {
    const bench = new TurnBench()
    bench.refuse(bench.challenged(), 486)
    bench.pass(1999)
    expect(bench.events()).toEqual([])
    bench.pass(1)
    expect(bench.events()).toMatchObject([
      { type: 'failed', code: 'turn-unauthentic', status: 486, final: false },
    ])
    bench.jump()
    expect(bench.sent()[0]!.method).toBe(Allocate)
  })

  it('ends a request on a stream with the first answer, as RFC 8489 section 9.2.5 wants it', () => {
    const bench = new TurnBench({ transport: 'stream' })
    const request = bench.challenged()
    bench.grant(request, new Uint8Array(16))
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unauthentic', final: false }])
  })

  it('sends again, unchanged, then says that nobody answers, and tries anew', () => {
    const bench = new TurnBench()
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
    const bench = new TurnBench().allocated()
    bench.client.permit(bench.now, [peer.address])
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

  it('takes data of those whom it has permitted, and of nobody else', () => {
    const bench = new TurnBench().allocated()
    bench.client.permit(bench.now, [peer.address])
    bench.agree(bench.sent()[0]!)
    bench.events()
    const transactionId = new Uint8Array(12).fill(7)
    for (const from of [foreigner, peer]) {
      const attributes = [xorPeerAddressAttribute(from, transactionId), dataAttribute(text('hello'))]
      const message = { class: 'indication', method: Data, transactionId, attributes } as const
      bench.client.handleBytes(bench.now, encodeMessage(message))
    }
    expect(bench.events()).toEqual([{ type: 'data', peer, bytes: text('hello') }])
    expect(bench.client.counters.unpermitted).toBe(1)
    expect(bench.client.send(bench.now, foreigner, text('no'))).toBe(false)
    expect(bench.sent()).toEqual([])
  })
})
