/** What becomes of an Allocate request that the server refuses. */
import { describe, expect, it } from 'vitest'
import { xorMappedAddressAttribute } from '../../src/transports/stun/attributes.js'
import type { Attribute } from '../../src/transports/stun/message.js'
import { findAttribute } from '../../src/transports/stun/message.js'
import { Allocate, Refresh, TurnAttributeType } from '../../src/transports/turn/constants.js'
import { lifetimeOf, mapped, relayed, TurnBench, text } from './turn-bench.js'

function alternate(port: number, domain?: string): Attribute[] {
  const server = Uint8Array.of(0, 1, port >> 8, port & 0xff, 192, 0, 2, 1)
  return [
    { type: TurnAttributeType.AlternateServer, value: server },
    ...(domain === undefined ? [] : [{ type: TurnAttributeType.AlternateDomain, value: text(domain) }]),
  ]
}

describe('a redirect (300)', () => {
  it('is followed, with the name that the next server’s certificate bears', () => {
    const bench = new TurnBench()
    bench.client.start(bench.now)
    bench.refuse(bench.sent()[0]!, 300, undefined, false, alternate(3478, 'turn.example.org'))
    const server = { address: '192.0.2.1', port: 3478 }
    expect(bench.events()).toEqual([{ type: 'redirect', server, domain: 'turn.example.org' }])
    expect(bench.client.pollTimeout()).toBeUndefined()
    bench.allocated()
  })

  it('is followed five times in five minutes, and never twice to the same server', () => {
    const bench = new TurnBench()
    const redirect = (port: number): string => {
      bench.client.start(bench.now)
      bench.refuse(bench.sent()[0]!, 300, undefined, false, alternate(port))
      const [event] = bench.events()
      return event?.type === 'failed' ? `${event.code} ${event.final}` : (event?.type ?? 'nothing')
    }
    expect([1, 2, 1, 3, 4, 5, 6, 7].map(redirect)).toEqual([
      ...['redirect', 'redirect', 'turn-redirect false'],
      ...['redirect', 'redirect', 'redirect', 'turn-redirect false', 'turn-redirect false'],
    ])
    bench.now += 300_000
    expect(redirect(1)).toBe('redirect')
  })

  it.each<[string, Attribute[]]>([
    ['nowhere', []],
    ['to port 0', alternate(0)],
    ['to half an address', [{ type: TurnAttributeType.AlternateServer, value: Uint8Array.of(0, 1, 2) }]],
  ])('%s is a failure', (_, attributes) => {
    const bench = new TurnBench()
    bench.client.start(bench.now)
    bench.refuse(bench.sent()[0]!, 300, undefined, false, attributes)
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-redirect', final: false }])
  })

  it('after the challenge must be signed', () => {
    const bench = new TurnBench()
    const request = bench.challenged()
    bench.refuse(request, 300, undefined, false, alternate(3478))
    expect(bench.events()).toEqual([])
    bench.refuse(request, 300, undefined, true, alternate(3478))
    expect(bench.events()).toMatchObject([{ type: 'redirect' }])
  })

  it('on a stream to a server that cannot be reached is tried again', () => {
    const bench = new TurnBench({ transport: 'stream' })
    bench.client.start(bench.now)
    bench.refuse(bench.sent()[0]!, 300, undefined, false, alternate(3478))
    expect(bench.events()).toMatchObject([{ type: 'redirect' }])
    bench.client.handleClosed(bench.now, 'connection refused')
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-stream', final: false }])
    bench.pass(2000)
    expect(bench.events()).toEqual([{ type: 'reconnect' }])
  })
})

describe('a refusal', () => {
  it.each([
    [403, 'turn-refused', true],
    [420, 'turn-refused', true],
    [431, 'turn-unauthorized', true],
    [440, 'turn-refused', true],
    [441, 'turn-unauthorized', false],
    [442, 'turn-refused', true],
    [486, 'turn-quota', false],
    [500, 'turn-refused', false],
    [508, 'turn-capacity', false],
  ])('%i, signed, is told at once as %s, final: %s', (status, code, final) => {
    const bench = new TurnBench()
    bench.refuse(bench.challenged(), status, undefined, true)
    expect(bench.events()).toEqual([
      { type: 'failed', final, code, status, reason: `The TURN server says ${status} No [2J` },
    ])
    expect(bench.pass(2000).length > 0).toBe(!final)
  })

  it('431, which is never signed, is final where nothing better comes', () => {
    const bench = new TurnBench()
    bench.refuse(bench.challenged(), 431)
    bench.pass(2000)
    expect(bench.events()).toMatchObject([
      { type: 'failed', code: 'turn-unauthorized', status: 431, final: true },
    ])
  })

  it('is not final where there are other credentials by now', () => {
    let password = 'old'
    const bench = new TurnBench({ credentials: () => ({ username: 'alice', password }) })
    bench.refuse(bench.challenged(), 401, 'first')
    password = 'secret'
    bench.pass(2000)
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unauthorized', final: false }])
    bench.jump()
    bench.refuse(bench.sent()[0]!, 401, 'second')
    bench.grant(bench.sent()[0]!)
    expect(bench.events()).toMatchObject([{ type: 'allocated' }])
  })

  it('is met ever more slowly, up to two minutes', () => {
    const bench = new TurnBench()
    bench.client.start(bench.now)
    const waits: number[] = []
    for (let round = 0; round < 12; round++) {
      const [request] = bench.sent()
      bench.refuse(request!, 401, `nonce ${round}`)
      bench.refuse(bench.sent()[0]!, 508, undefined, true)
      const before = bench.now
      bench.jump()
      waits.push(bench.now - before)
    }
    waits.forEach((wait, round) => {
      const middle = Math.min(120_000, 1000 * 2 ** round)
      expect(wait).toBeGreaterThanOrEqual(middle * 0.75)
      expect(wait).toBeLessThanOrEqual(middle * 1.25)
    })
  })
})

describe('a mismatch (437)', () => {
  it('of an allocation of ours is cleared away, and then there is room', () => {
    const bench = new TurnBench()
    bench.refuse(bench.challenged(), 437, undefined, true)
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-mismatch', final: false }])
    const [clear] = bench.sent()
    expect([clear!.method, lifetimeOf(clear!)]).toEqual([Refresh, 0])
    bench.agree(clear!, 0)
    const [again] = bench.sent()
    expect(again!.method).toBe(Allocate)
    bench.refuse(again!, 401, 'second')
    bench.grant(bench.sent()[0]!)
    expect(bench.events()).toEqual([{ type: 'allocated', relayed, mapped }])
  })

  it('of somebody else is given up after twelve times, more than ten minutes', () => {
    const bench = new TurnBench()
    bench.client.start(bench.now)
    const start = bench.now
    let allocates = 0
    bench.pass(3_600_000, (request) => {
      const isSigned = findAttribute(request, TurnAttributeType.Nonce) !== undefined
      if (!isSigned) bench.refuse(request, 401, `nonce ${bench.now}`)
      else bench.refuse(request, request.method === Allocate ? 437 : 441, undefined, true)
      if (isSigned && request.method === Allocate) allocates += 1
    })
    const failures = bench.events()
    expect(failures.map((event) => event.type === 'failed' && event.final)).toEqual([
      ...new Array<boolean>(11).fill(false),
      true,
    ])
    expect(allocates).toBe(12)
    expect(bench.now - start).toBe(3_600_000)
    expect(bench.client.pollTimeout()).toBeUndefined()
  })

  it('is not cleared on a stream, which is new each time', () => {
    const bench = new TurnBench({ transport: 'stream' })
    bench.refuse(bench.challenged(), 437, undefined, true)
    expect(bench.sent()).toEqual([])
  })
})

describe('a success', () => {
  it('with an address of the other family is of no use', () => {
    const bench = new TurnBench()
    bench.relayed = { address: '2001:db8::1', port: 50_000 }
    bench.grant(bench.challenged())
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unusable', final: false }])
  })

  it('without a lifetime, or with one of 0, is of no use', () => {
    const bench = new TurnBench()
    const request = bench.challenged()
    bench.succeed(request, [
      {
        type: TurnAttributeType.XorRelayedAddress,
        value: xorMappedAddressAttribute(relayed, request.transactionId).value,
      },
      xorMappedAddressAttribute(mapped, request.transactionId),
    ])
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unusable' }])
    bench.now = bench.client.pollTimeout()!
    bench.grant(bench.challenged(), undefined, 0)
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unusable' }])
  })
})
