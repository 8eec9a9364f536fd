/** The life of an allocation, by the clock: refreshes, a server that dies, streams, farewells. */
import { describe, expect, it } from 'vitest'
import { type DecodedMessage, decodeMessage, findAttribute } from '../../src/transports/stun/message.js'
import {
  Allocate,
  CreatePermission,
  Refresh,
  TurnAttributeType,
} from '../../src/transports/turn/constants.js'
import { lifetimeOf, mapped, peersOf, TurnBench, text } from './turn-bench.js'

const refreshes = (messages: DecodedMessage[]): DecodedMessage[] =>
  messages.filter(({ method }) => method === Refresh)

describe('an allocation', () => {
  it.each([
    [600, 540_000],
    [361, 301_000],
    [360, 300_000],
    [60, 50_000],
    [1, 834],
    // More than an hour is taken for an hour.
    [4_294_967_295, 3_540_000],
  ])('of %i s is refreshed after %i ms', (seconds, wanted) => {
    const bench = new TurnBench({ keepaliveMs: 1e9 }).allocated(seconds)
    expect(refreshes(bench.pass(wanted - 1))).toEqual([])
    const [refresh] = refreshes(bench.pass(1))
    expect(lifetimeOf(refresh!)).toBe(600)
    bench.agree(refresh!, seconds)
    expect(bench.events()).toEqual([])
    expect(refreshes(bench.pass(wanted - 1))).toEqual([])
    expect(refreshes(bench.pass(1))).toHaveLength(1)
  })

  it('is asked about when nothing comes, and another is asked for where it is gone', () => {
    const bench = new TurnBench().allocated()
    bench.jump()
    expect(bench.now).toBe(26_000)
    const [refresh] = bench.sent()
    expect(refresh!.method).toBe(Refresh)
    bench.refuse(refresh!, 437, undefined, true)
    expect(bench.events()).toMatchObject([{ type: 'lost', code: 'turn-mismatch', status: 437 }])
    bench.jump()
    expect(bench.sent()[0]!.method).toBe(Allocate)
  })

  it('whose server dies is given up 40.5 s after the last word, and asked for again', () => {
    const bench = new TurnBench().allocated()
    expect(refreshes(bench.pass(40_499))).toHaveLength(5)
    expect(bench.events()).toEqual([])
    bench.pass(1)
    expect(bench.events()).toMatchObject([{ type: 'lost', code: 'turn-unreachable', status: undefined }])
    bench.jump()
    expect(bench.sent()[0]!.method).toBe(Allocate)
  })

  it('that has run out is lost, whatever is still asked', () => {
    const bench = new TurnBench().allocated(1)
    bench.pass(1000)
    expect(bench.events()).toMatchObject([{ type: 'lost', code: 'turn-unreachable' }])
  })

  it('whose refresh the server refuses for now is asked about again in ten seconds', () => {
    const bench = new TurnBench({ keepaliveMs: 1e9 }).allocated()
    const [refresh] = refreshes(bench.pass(540_000))
    bench.refuse(refresh!, 508, undefined, true)
    expect(refreshes(bench.pass(9_999))).toEqual([])
    expect(refreshes(bench.pass(1))).toHaveLength(1)
    expect(bench.events()).toEqual([])
  })

  it('is not lost by refusals that nobody has signed, where the signed answer comes', () => {
    const bench = new TurnBench().allocated()
    const [refresh] = refreshes(bench.pass(25_000))
    for (const code of [401, 431, 437, 441, 508]) bench.refuse(refresh!, code)
    bench.pretend(refresh!)
    expect(bench.events()).toEqual([])
    bench.agree(refresh!)
    expect(bench.pass(20_000)).toEqual([])
    expect(bench.events()).toEqual([])
  })

  it('with a lifetime of 0 after a refresh is gone', () => {
    const bench = new TurnBench().allocated()
    const [refresh] = refreshes(bench.pass(25_000))
    bench.agree(refresh!, 0)
    expect(bench.events()).toMatchObject([{ type: 'lost', code: 'turn-unusable' }])
  })

  it('over IPv6 says so in every request, and permits IPv6 addresses only', () => {
    const bench = new TurnBench({ family: 6 })
    bench.relayed = { address: '2001:db8::1', port: 50_000 }
    const request = bench.challenged()
    const six = Uint8Array.of(2, 0, 0, 0)
    expect(findAttribute(request, TurnAttributeType.RequestedAddressFamily)).toEqual(six)
    bench.grant(request)
    expect(bench.events()).toEqual([{ type: 'allocated', relayed: bench.relayed, mapped }])
    expect(bench.client.permit(bench.now, ['192.0.2.1'])).toBe(false)
    expect(bench.client.permit(bench.now, ['2001:DB8:0::2'])).toBe(true)
    const [permission] = bench.sent()
    expect([permission!.method, peersOf(permission!)]).toEqual([CreatePermission, ['2001:db8::2']])
    bench.agree(permission!)
    expect(bench.client.send(bench.now, { address: '2001:db8::2', port: 9 }, text('hello'))).toBe(true)
    bench.sent()
    const [refresh] = refreshes(bench.pass(25_000))
    expect(findAttribute(refresh!, TurnAttributeType.RequestedAddressFamily)).toEqual(six)
  })
})

describe('a stream', () => {
  it('that ends loses the allocation; the next is asked for, opened and started', () => {
    const bench = new TurnBench({ transport: 'stream' }).allocated()
    bench.client.handleClosed(bench.now, 'the server has ended the connection')
    expect(bench.events()).toEqual([
      { type: 'lost', code: 'turn-stream', status: undefined, reason: 'the server has ended the connection' },
    ])
    bench.pass(2000)
    expect(bench.events()).toEqual([{ type: 'reconnect' }])
    expect(bench.client.pollTimeout()).toBeUndefined()
    bench.allocated()
  })

  it('that cannot be opened again is asked for again, later', () => {
    const bench = new TurnBench({ transport: 'stream' }).allocated()
    const waits: number[] = []
    for (let round = 0; round < 4; round++) {
      bench.client.handleClosed(bench.now, 'connection refused')
      const before = bench.now
      bench.jump()
      waits.push(bench.now - before)
      expect(bench.events().at(-1)).toEqual({ type: 'reconnect' })
    }
    waits.forEach((wait, round) => expect(wait).toBeGreaterThanOrEqual(750 * 2 ** round))
  })

  it('with nonsense in it ends the connection, and what was kept of it is forgotten', () => {
    const bench = new TurnBench({ transport: 'stream' }).allocated()
    bench.client.handleBytes(bench.now, text('SSH-2.0-OpenSSH_9.2'))
    expect(bench.events()).toMatchObject([{ type: 'lost', code: 'turn-stream' }])
    expect(bench.client.counters.malformed).toBe(1)
    bench.jump()
    bench.events()
    bench.allocated()
  })

  it('sends nothing twice, and waits 39.5 s', () => {
    const bench = new TurnBench({ transport: 'stream' })
    bench.client.start(bench.now)
    expect(bench.pass(39_499)).toHaveLength(1)
    expect(bench.events()).toEqual([])
    bench.pass(1)
    expect(bench.events()).toMatchObject([{ type: 'failed', code: 'turn-unreachable', final: false }])
  })
})

describe('close', () => {
  it('frees the allocation, also where the nonce has gone stale', () => {
    const bench = new TurnBench().allocated()
    bench.client.close(bench.now)
    const [farewell] = bench.sent()
    expect([farewell!.method, lifetimeOf(farewell!)]).toEqual([Refresh, 0])
    bench.refuse(farewell!, 438, 'second')
    expect(bench.events()).toEqual([])
    const [again] = bench.sent()
    expect([again!.method, lifetimeOf(again!)]).toEqual([Refresh, 0])
    expect(findAttribute(again!, TurnAttributeType.Nonce)).toEqual(text('second'))
    bench.agree(again!, 0)
    expect(bench.events()).toEqual([{ type: 'closed' }])
    expect(bench.client.pollTimeout()).toBeUndefined()
  })

  it('frees what may have been allocated while the answer was on its way', () => {
    const bench = new TurnBench()
    const request = bench.challenged()
    bench.client.close(bench.now)
    bench.grant(request)
    expect(bench.events()).toEqual([])
    bench.agree(bench.sent()[0]!, 0)
    expect(bench.events()).toEqual([{ type: 'closed' }])
  })

  it('does not wait for a server that is not there: 4.75 s', () => {
    const bench = new TurnBench().allocated()
    bench.client.close(bench.now)
    bench.client.close(bench.now)
    expect(bench.pass(4749)).toHaveLength(3)
    expect(bench.events()).toEqual([])
    bench.pass(1)
    expect(bench.events()).toEqual([{ type: 'closed' }])
  })

  it('is at once where there is nothing to free, and start begins anew', () => {
    const bench = new TurnBench()
    bench.client.close(bench.now)
    expect(bench.events()).toEqual([{ type: 'closed' }])
    expect(bench.client.pollTransmit()).toBeUndefined()
    bench.allocated()
  })

  it('is over when its stream is', () => {
    const bench = new TurnBench({ transport: 'stream' }).allocated()
    bench.client.close(bench.now)
    expect(decodeMessage(bench.client.pollTransmit()!).method).toBe(Refresh)
    bench.client.handleClosed(bench.now)
    expect(bench.events()).toEqual([{ type: 'closed' }])
  })
})
