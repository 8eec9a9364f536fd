import { describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/core/machine.js'
import { errorCodeAttribute } from '../../src/transports/stun/attributes.js'
import { answerBinding } from '../../src/transports/stun/binding.js'
import { StunClient, type StunClientEvent } from '../../src/transports/stun/client.js'
import { Binding } from '../../src/transports/stun/constants.js'
import { decodeMessage, encodeMessage, type Message } from '../../src/transports/stun/message.js'
import { SeededRandom } from '../sim/seeded-random.js'

const first: SocketAddress = { address: '198.51.100.1', port: 3478 }
const second: SocketAddress = { address: '2001:db8::2', port: 3478 }
const here: SocketAddress = { address: '203.0.113.9', port: 41_641 }
const there: SocketAddress = { address: '203.0.113.9', port: 41_642 }

/** A client under a clock that jumps, and what it has sent and said. */
class Bench {
  now = 1000
  readonly client: StunClient

  constructor(servers: readonly SocketAddress[] = [first], refreshMs?: number) {
    const random = new SeededRandom('stun')
    this.client = new StunClient({ random, servers, ...(refreshMs !== undefined && { refreshMs }) })
  }

  sent(): { to: SocketAddress; request: Message }[] {
    const all: { to: SocketAddress; request: Message }[] = []
    for (let out = this.client.pollTransmit(); out !== undefined; out = this.client.pollTransmit()) {
      all.push({ to: out.destination, request: decodeMessage(out.bytes) })
    }
    return all
  }

  events(): StunClientEvent[] {
    const all: StunClientEvent[] = []
    for (let event = this.client.pollEvent(); event !== undefined; event = this.client.pollEvent()) {
      all.push(event)
    }
    return all
  }

  /** Jumps to the next deadline. */
  jump(): void {
    this.now = this.client.pollTimeout()!
    this.client.handleTimeout(this.now)
  }

  answer(request: Message, mapped: SocketAddress, from = first): boolean {
    return this.client.handleDatagram(this.now, from, answerBinding(request, mapped))
  }
}

function started(servers?: readonly SocketAddress[], refreshMs?: number): Bench {
  const bench = new Bench(servers, refreshMs)
  bench.client.start(bench.now)
  return bench
}

describe('a STUN client', () => {
  it('asks again after 500 ms, then ever slower, seven times in all, and gives up after 39.5 s', () => {
    const bench = started()
    const start = bench.now
    const { request } = bench.sent()[0]!
    const times: number[] = []
    while (bench.events().length === 0) {
      // Early, nothing happens.
      bench.client.handleTimeout(bench.client.pollTimeout()! - 0.001)
      expect(bench.sent()).toEqual([])
      bench.jump()
      const again = bench.sent()
      if (again.length > 0) {
        expect(again).toEqual([{ to: first, request }])
        times.push(bench.now - start)
      }
    }
    expect(times).toEqual([500, 1500, 3500, 7500, 15_500, 31_500])
    expect(bench.now - start).toBe(39_500)
  })

  it('says once that a server does not answer, asks on with a new transaction, and says when it answers', () => {
    const bench = started()
    const before = bench.sent()[0]!.request
    const events: StunClientEvent[] = []
    for (let jumps = 0; jumps < 2 * 8; jumps++) {
      bench.jump()
      events.push(...bench.events())
    }
    expect(events).toEqual([{ type: 'unreachable', server: first }])
    const requests = bench.sent().map(({ request }) => request)
    expect(requests.at(-1)!.transactionId).not.toEqual(before.transactionId)
    expect(bench.answer(before, here)).toBe(false)
    bench.jump()
    expect(bench.answer(bench.sent()[0]!.request, here)).toBe(true)
    expect(bench.events()).toEqual([{ type: 'reflexive', server: first, mapped: here }])
  })

  it('asks every server, and says what each has seen', () => {
    const bench = started([first, second])
    const sent = bench.sent()
    expect(sent.map(({ to }) => to)).toEqual([first, second])
    expect(sent[0]!.request.transactionId).not.toEqual(sent[1]!.request.transactionId)
    const seen = { address: '2001:db8::9', port: 41_641 }
    expect(bench.answer(sent[1]!.request, seen, second)).toBe(true)
    expect(bench.answer(sent[0]!.request, here)).toBe(true)
    expect(bench.events()).toEqual([
      { type: 'reflexive', server: second, mapped: seen },
      { type: 'reflexive', server: first, mapped: here },
    ])
  })

  it('takes an answer only by its transaction and from the server asked, and only once', () => {
    const bench = started([first, second])
    const { request } = bench.sent()[0]!
    const guessed = { ...request, transactionId: request.transactionId.map((byte) => byte ^ 1) }
    expect(bench.answer(guessed, there)).toBe(false)
    expect(bench.answer(request, there, second)).toBe(false)
    expect(bench.answer(request, there, { ...first, port: 3479 })).toBe(false)
    expect(bench.answer(request, there, { ...first, address: '198.51.100.2' })).toBe(false)
    expect(bench.events()).toEqual([])
    expect(bench.answer(request, here)).toBe(true)
    expect(bench.answer(request, there)).toBe(false)
    expect(bench.events()).toEqual([{ type: 'reflexive', server: first, mapped: here }])
    for (const length of [0, 1, 8, 19]) {
      expect(bench.client.handleDatagram(bench.now, first, new Uint8Array(length))).toBe(false)
    }
  })

  it('waits on for the true answer after a broken one, and after what is no answer', () => {
    const bench = started()
    const { request } = bench.sent()[0]!
    const deadline = bench.client.pollTimeout()
    const broken = answerBinding(request, there)
    broken[broken.length - 1]! ^= 1
    expect(bench.client.handleDatagram(bench.now, first, broken)).toBe(true)
    expect(bench.client.counters.malformed).toBe(1)
    for (const message of [
      request,
      { ...request, class: 'indication' as const },
      { ...request, class: 'success' as const, method: Binding + 1 },
    ]) {
      expect(bench.client.handleDatagram(bench.now, first, encodeMessage(message))).toBe(true)
    }
    expect(bench.client.counters.unexpected).toBe(3)
    expect(bench.events()).toEqual([])
    expect(bench.client.pollTimeout()).toBe(deadline)
    bench.answer(request, here)
    expect(bench.events()).toEqual([{ type: 'reflexive', server: first, mapped: here }])
  })

  it('takes a refusal, and a success without an address, for unreachable', () => {
    const bench = started([first, second])
    const [one, two] = bench.sent().map(({ request }) => request) as [Message, Message]
    const refusal = {
      ...one,
      class: 'error' as const,
      attributes: [errorCodeAttribute({ code: 500, reason: '' })],
    }
    bench.client.handleDatagram(bench.now, first, encodeMessage(refusal))
    bench.client.handleDatagram(
      bench.now,
      second,
      encodeMessage({ ...two, class: 'success', attributes: [] }),
    )
    expect(bench.client.counters).toEqual({ malformed: 0, refused: 1, unusable: 1, unexpected: 0 })
    expect(bench.events()).toEqual([
      { type: 'unreachable', server: first },
      { type: 'unreachable', server: second },
    ])
    expect(bench.client.pollTimeout()! - bench.now).toBeGreaterThan(20_000)
  })

  it('asks anew every 25 s or so, and speaks only of a changed address', () => {
    const bench = started()
    const transactions = new Set<string>()
    const gaps: number[] = []
    const spoken: StunClientEvent[][] = []
    for (const mapped of [here, here, here, there, there, here]) {
      const sent = bench.sent()
      expect(sent).toHaveLength(1)
      const { request } = sent[0]!
      transactions.add(String(request.transactionId))
      bench.now += 30
      bench.answer(request, mapped)
      spoken.push(bench.events())
      gaps.push(bench.client.pollTimeout()! - bench.now)
      bench.jump()
    }
    expect(transactions.size).toBe(6)
    expect(spoken).toEqual([
      [{ type: 'reflexive', server: first, mapped: here }],
      [],
      [],
      [{ type: 'reflexive', server: first, mapped: there }],
      [],
      [{ type: 'reflexive', server: first, mapped: here }],
    ])
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(22_500)
      expect(gap).toBeLessThan(27_500)
    }
    expect(new Set(gaps).size).toBeGreaterThan(1)
  })

  it('says the same address again after the server was unreachable', () => {
    const bench = started([first], 10)
    bench.answer(bench.sent()[0]!.request, here)
    bench.events()
    for (let jumps = 0; jumps < 8; jumps++) bench.jump()
    expect(bench.events()).toEqual([{ type: 'unreachable', server: first }])
    bench.sent()
    bench.jump()
    bench.answer(bench.sent()[0]!.request, here)
    expect(bench.events()).toEqual([{ type: 'reflexive', server: first, mapped: here }])
  })

  it('goes on from where it is after a long sleep of the machine', () => {
    const bench = started()
    bench.sent()
    bench.now += 3_600_000
    bench.client.handleTimeout(bench.now)
    expect(bench.sent()).toHaveLength(1)
    expect(bench.client.pollTimeout()).toBe(bench.now + 1000)
  })

  it('does nothing before its start, twice started asks once, and stops for good', () => {
    const bench = new Bench()
    bench.client.stop()
    expect(bench.client.pollTimeout()).toBeUndefined()
    bench.client.start(bench.now)
    bench.client.start(bench.now)
    const sent = bench.sent()
    expect(sent).toHaveLength(1)
    bench.jump()
    bench.client.stop()
    bench.client.stop()
    expect(bench.sent()).toEqual([])
    expect(bench.client.pollTimeout()).toBeUndefined()
    expect(bench.answer(sent[0]!.request, here)).toBe(false)
    bench.client.handleTimeout(bench.now + 100_000)
    expect(bench.sent()).toEqual([])
    expect(bench.events()).toEqual([])
  })

  it('without servers has nothing to do', () => {
    const bench = started([])
    expect(bench.sent()).toEqual([])
    expect(bench.client.pollTimeout()).toBeUndefined()
  })
})
