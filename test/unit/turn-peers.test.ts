/** Permissions and channels, by the clock. */
import { describe, expect, it } from 'vitest'
import type { DecodedMessage } from '../../src/transports/stun/message.js'
import { findAttribute } from '../../src/transports/stun/message.js'
import { encodeChannelData } from '../../src/transports/turn/channel-data.js'
import {
  ChannelBind,
  CreatePermission,
  Refresh,
  Send,
  TurnAttributeType,
} from '../../src/transports/turn/constants.js'
import { peersOf, TurnBench, text } from './turn-bench.js'

const peer = { address: '192.0.2.1', port: 4000 }
const address = (index: number): string => `192.0.${2 + (index >> 8)}.${index & 0xff}`
const addresses = (count: number): string[] => Array.from({ length: count }, (_, index) => address(index))

/** A bench whose allocation permits `peer`, and a server that says yes. */
function permitted(): TurnBench {
  const bench = new TurnBench().allocated()
  bench.client.permit(bench.now, [peer.address])
  bench.sent().forEach((request) => bench.agree(request))
  expect(bench.events()).toEqual([{ type: 'permitted', addresses: [peer.address] }])
  return bench
}

function channelOf(request: DecodedMessage): number {
  const value = findAttribute(request, TurnAttributeType.ChannelNumber)!
  return new DataView(value.buffer, value.byteOffset).getUint16(0)
}

function send(bench: TurnBench, count: number, to = peer): DecodedMessage[] {
  for (let index = 0; index < count; index++) {
    expect(bench.client.send(bench.now, to, text('hello'))).toBe(true)
  }
  return bench.sent()
}

describe('permissions', () => {
  it('are asked for sixteen at a time, and granted each', () => {
    const bench = new TurnBench().allocated()
    expect(bench.client.permit(bench.now, addresses(40))).toBe(true)
    const requests = bench.sent()
    expect(requests.map(({ method }) => method)).toEqual([
      CreatePermission,
      CreatePermission,
      CreatePermission,
    ])
    expect(requests.map((request) => peersOf(request).length)).toEqual([16, 16, 8])
    expect(requests.flatMap(peersOf)).toEqual(addresses(40))
    requests.forEach((request) => bench.agree(request))
    expect(bench.events().flatMap((event) => (event.type === 'permitted' ? event.addresses : []))).toEqual(
      addresses(40),
    )
    expect(bench.client.permit(bench.now, addresses(40))).toBe(true)
    expect(bench.sent()).toEqual([])
  })

  it('wanted before the allocation are asked for when it is there, and again in the next one', () => {
    const bench = new TurnBench()
    bench.client.permit(bench.now, [peer.address])
    expect(bench.sent()).toEqual([])
    bench.allocated()
    const [request] = bench.sent()
    expect(peersOf(request!)).toEqual([peer.address])
    bench.agree(request!)
    const gone = (refresh: DecodedMessage): void => bench.refuse(refresh, 437, undefined, true)
    bench.pass(25_000, (each) => (each.method === Refresh ? gone(each) : undefined))
    expect(bench.events().map(({ type }) => type)).toEqual(['allocated', 'permitted', 'lost'].slice(1))
    expect(bench.client.send(bench.now, peer, text('no'))).toBe(false)
    bench.client.start(bench.now)
    const seen: string[][] = []
    bench.pass(2000, (each) => {
      if (each.method === CreatePermission) seen.push(peersOf(each))
      else if (findAttribute(each, TurnAttributeType.Nonce) === undefined) bench.refuse(each, 401, 'next')
      else bench.grant(each)
    })
    expect(seen[0]).toEqual([peer.address])
  })

  it('that are refused together are asked for one by one, and together again when they are granted', () => {
    const bench = new TurnBench().allocated()
    bench.client.permit(bench.now, addresses(5))
    bench.refuse(bench.sent()[0]!, 403, undefined, true)
    const alone = bench.sent()
    expect(alone.map(peersOf)).toEqual(addresses(5).map((each) => [each]))
    expect(bench.events()).toEqual([])
    alone.forEach((request, index) => {
      if (index === 2) bench.refuse(request, 403, undefined, true)
      else bench.agree(request)
    })
    expect(bench.events()).toEqual([
      ...[0, 1].map((index) => ({ type: 'permitted', addresses: [address(index)] })),
      { type: 'denied', address: address(2), status: 403, reason: 'No [2J' },
      ...[3, 4].map((index) => ({ type: 'permitted', addresses: [address(index)] })),
    ])
    const sent = bench.pass(240_000, (request) => bench.agree(request))
    const again = sent.filter(({ method }) => method === CreatePermission)
    expect(again.map(peersOf)).toEqual([[0, 1, 3, 4].map(address)])
  })

  it('are refreshed a minute before they end, those of half a minute together', () => {
    const bench = new TurnBench().allocated()
    bench.client.permit(bench.now, [address(1)])
    bench.sent().forEach((request) => bench.agree(request))
    bench.pass(20_000)
    bench.client.permit(bench.now, [address(2)])
    bench.sent().forEach((request) => bench.agree(request))
    const only = (messages: DecodedMessage[]): string[][] =>
      messages.filter(({ method }) => method === CreatePermission).map(peersOf)
    const agree = (request: DecodedMessage): void => bench.agree(request)
    expect(only(bench.pass(219_999, agree))).toEqual([])
    expect(only(bench.pass(1, agree))).toEqual([[address(1), address(2)]])
    bench.client.release([address(1)])
    expect(only(bench.pass(240_000, agree))).toEqual([[address(2)]])
  })

  it('that the server leaves unanswered make it ask whether the allocation is there', () => {
    const bench = permitted()
    bench.client.permit(bench.now, [address(7)])
    const methods = new Set<number>()
    bench.pass(45_000, (request) => {
      methods.add(request.method)
      if (request.method === Refresh) bench.agree(request)
    })
    expect([...methods]).toEqual([CreatePermission, Refresh])
    expect(bench.events()).toEqual([])
  })

  it('end by themselves where the server is silent: nothing is sent or taken then', () => {
    const bench = permitted()
    bench.pass(299_999, (request) => {
      if (request.method === Refresh) bench.agree(request)
    })
    expect(bench.client.send(bench.now, peer, text('yes'))).toBe(true)
    bench.pass(1)
    expect(bench.client.send(bench.now, peer, text('no'))).toBe(false)
    expect(bench.client.counters.unsent).toBe(1)
  })

  it('of an allocation that was lost do not hold up those of the next', () => {
    const bench = new TurnBench({ keepaliveMs: 1000, transport: 'stream' }).allocated()
    expect(bench.pass(1000).map(({ method }) => method)).toEqual([Refresh])
    bench.client.permit(bench.now, [peer.address])
    // Neither the refresh nor, after it, the permission is answered, and both end in one call.
    bench.now += 40_000
    bench.client.handleTimeout(bench.now)
    expect(bench.events().map(({ type }) => type)).toEqual(['lost'])
    bench.jump()
    expect(bench.events()).toEqual([{ type: 'reconnect' }])
    bench.sent()
    bench.allocated()
    expect(bench.sent().map(peersOf)).toEqual([[peer.address]])
  })

  it('are 1024 at most, and of the relayed address’s family', () => {
    const bench = new TurnBench().allocated()
    expect(bench.client.permit(bench.now, ['2001:db8::1'])).toBe(false)
    expect(bench.client.permit(bench.now, ['nonsense', '192.0.2.1%eth0', ''])).toBe(false)
    expect(bench.sent()).toEqual([])
    expect(bench.client.permit(bench.now, addresses(1024))).toBe(true)
    expect(bench.client.permit(bench.now, [address(1024)])).toBe(false)
    expect(bench.sent().flatMap(peersOf)).toHaveLength(1024)
  })
})

describe('channels', () => {
  it('are bound after four packets; until then, and without one, data goes in indications', () => {
    const bench = permitted()
    expect(send(bench, 3).map(({ method }) => method)).toEqual([Send, Send, Send])
    const [last, bind] = send(bench, 1)
    expect([last!.method, bind!.method]).toEqual([Send, ChannelBind])
    expect(peersOf(bind!)).toEqual([peer.address])
    expect(send(bench, 1).map(({ method }) => method)).toEqual([Send])
    bench.agree(bind!)
    expect(send(bench, 1)).toEqual([])
    expect(bench.channelData).toEqual([encodeChannelData(channelOf(bind!), text('hello'), false)])
  })

  it('carry data to us from when they are asked for, and only while their peer is permitted', () => {
    const bench = permitted()
    const bind = send(bench, 4).at(-1)!
    const come = (number: number): void =>
      bench.client.handleBytes(bench.now, encodeChannelData(number, text('hello'), false))
    come(channelOf(bind))
    expect(bench.events()).toEqual([{ type: 'data', peer, bytes: text('hello') }])
    come(channelOf(bind) + 1)
    expect(bench.client.counters.unexpected).toBe(1)
    bench.client.release([peer.address])
    come(channelOf(bind))
    expect(bench.client.counters.unpermitted).toBe(1)
    expect(bench.events()).toEqual([])
  })

  it('are refreshed a minute before they end, where they are used', () => {
    const bench = permitted()
    const bind = send(bench, 4).at(-1)!
    bench.agree(bind)
    const only = (messages: DecodedMessage[]): number[] =>
      messages.filter(({ method }) => method === ChannelBind).map(channelOf)
    const agree = (request: DecodedMessage): void => bench.agree(request)
    bench.pass(300_000, agree)
    send(bench, 1)
    expect(only(bench.pass(239_999, agree))).toEqual([])
    expect(only(bench.pass(1, agree))).toEqual([channelOf(bind)])
    // Nothing passes from here on.
    expect(only(bench.pass(1_200_000, agree))).toEqual([])
    expect(send(bench, 1).map(({ method }) => method)).toEqual([Send, ChannelBind])
  })

  it('that are refused are asked for again a minute later, unanswered ones after five seconds', () => {
    const bench = permitted()
    bench.refuse(send(bench, 4).at(-1)!, 508, undefined, true)
    bench.pass(59_999, (request) => bench.agree(request))
    expect(send(bench, 1).map(({ method }) => method)).toEqual([Send])
    bench.pass(1, (request) => bench.agree(request))
    expect(send(bench, 1).map(({ method }) => method)).toEqual([Send, ChannelBind])
    const asked: number[] = []
    bench.pass(60_000, (request) => {
      if (request.method === ChannelBind) asked.push(bench.now)
      else bench.agree(request)
    })
    expect(asked.length).toBeGreaterThan(6)
    expect(new Set(asked).size).toBe(asked.length)
  })

  it('give no number to another peer before it has rested for five minutes, and are 1024 at most', () => {
    const bench = new TurnBench().allocated(3600)
    const agree = (request: DecodedMessage): void => bench.agree(request, 3600)
    const all = Array.from({ length: 1025 }, (_, index) => ({ address: address(1), port: 1000 + index }))
    bench.client.permit(bench.now, [address(1)])
    bench.sent().forEach(agree)
    const numbers = new Set<number>()
    for (const each of all.slice(0, 1024)) {
      const bind = send(bench, 4, each).at(-1)!
      numbers.add(channelOf(bind))
      bench.agree(bind)
    }
    expect(numbers.size).toBe(1024)
    for (const number of numbers) expect(number >= 0x4000 && number <= 0x4fff).toBe(true)
    const methods = (): number[] => [...new Set(send(bench, 4, all[1024]).map(({ method }) => method))]
    expect(methods()).toEqual([Send])
    // Ten minutes until the bindings end (used once, since they carried nothing), and five of rest.
    bench.pass(899_999, agree)
    expect(methods()).toEqual([Send])
    bench.pass(1, agree)
    const [, bind] = send(bench, 1, all[1024])
    expect(bind?.method).toBe(ChannelBind)
    expect(channelOf(bind!)).toBeGreaterThanOrEqual(0x4000)
  })
})
