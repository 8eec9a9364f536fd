import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import { HandshakeBurst } from '../../src/transports/wireguard/constants.js'
import type { NoiseCrypto } from '../../src/transports/wireguard/crypto.js'
import { HandshakeLoad, type LoadPolicy, RateLimiter } from '../../src/transports/wireguard/load.js'
import { mac1Key, writeMac1 } from '../../src/transports/wireguard/macs.js'
import { CookieReplyLength, MessageType } from '../../src/transports/wireguard/messages.js'
import { ipv4Packet, Net, type Node } from './wireguard-net.js'

const Forged = 50_000
/** Five thousand a second: long enough for a guest to wait for RekeyTimeout and come back. */
const FloodMs = 10_000
const Rounds = 50
/** The cost of a machine that is slower than any in use. */
const BoundMs = 15_000

/** Counts key agreements. */
function countingCrypto(): { readonly crypto: NoiseCrypto; readonly agreements: () => number } {
  let agreements = 0
  const crypto: NoiseCrypto = {
    ...nodeNoiseCrypto,
    hash: (...parts) => nodeNoiseCrypto.hash(...parts),
    hmac: (key, ...parts) => nodeNoiseCrypto.hmac(key, ...parts),
    mac: (key, bytes) => nodeNoiseCrypto.mac(key, bytes),
    seal: (...parameters) => nodeNoiseCrypto.seal(...parameters),
    open: (...parameters) => nodeNoiseCrypto.open(...parameters),
    equal: (first, second) => nodeNoiseCrypto.equal(first, second),
    privateKey: (secretKey) => {
      const key = nodeNoiseCrypto.privateKey(secretKey)
      return {
        publicKey: key.publicKey,
        dh: (publicKey) => {
          agreements += 1
          return key.dh(publicKey)
        },
      }
    },
  }
  return { crypto, agreements: () => agreements }
}

interface Flooded {
  readonly host: Node
  readonly member: Node
  readonly guest: Node
  readonly net: Net
  /** Of the host while the flood lasted. */
  readonly agreements: number
  readonly tookMs: number
  readonly answers: readonly Uint8Array[]
  /** When the guest had its session, from the start of the flood. */
  readonly sessionAfterMs: number | undefined
}

/**
 * A member with a session chats, and a guest comes, while a stranger who knows the host's key sends it
 * initiations from 50,000 ports.
 */
function flood(load: LoadPolicy, forged: number): Flooded {
  const net = new Net(7)
  const { crypto, agreements } = countingCrypto()
  const host = net.add('host', { crypto, load })
  const member = net.add('member')
  const guest = net.add('guest')
  for (const [i, node] of [member, guest].entries()) {
    net.peer(host, node, { allowedAddresses: [`10.0.1.${i}/32`] })
    net.peer(node, host, { allowedAddresses: ['10.0.0.1/32'] })
  }
  member.device.initiate(net.now, 'host')
  net.run(1000)
  const key = mac1Key(nodeNoiseCrypto, host.device.publicKey)
  const message = net.random.bytes(148)
  message.set([MessageType.Initiation, 0, 0, 0])
  message.fill(0, 132)
  const answers: Uint8Array[] = []
  const floodedAt = net.now
  let sessionAfterMs: number | undefined
  const [agreementsBefore, startedAt] = [agreements(), performance.now()]
  for (let i = 0; i < forged; i++) {
    // Every ephemeral and static key is another one; half of them bring a made-up mac2.
    new DataView(message.buffer).setUint32(8, i)
    new DataView(message.buffer).setUint32(40, i)
    message[140] = i & 1
    writeMac1(nodeNoiseCrypto, key, message)
    const source = { address: `203.0.113.${i % 250}`, port: 1024 + i }
    host.device.handleDatagram(net.now, source, message)
    for (let out = host.device.pollTransmit(); out !== undefined; out = host.device.pollTransmit()) {
      expect(out.replyTo).toEqual(source)
      answers.push(out.bytes)
    }
    if (i === forged / 10) guest.device.send(net.now, ipv4Packet('10.0.1.1', '10.0.0.1', 'may I?'))
    if (i % (forged / Rounds) === 0) {
      member.device.send(net.now, ipv4Packet('10.0.1.0', '10.0.0.1', `${i}`))
      net.run(FloodMs / Rounds)
      if (guest.events.some(({ type }) => type === 'session')) sessionAfterMs ??= net.now - floodedAt
    }
  }
  const tookMs = performance.now() - startedAt
  return {
    host,
    member,
    guest,
    net,
    agreements: agreements() - agreementsBefore,
    tookMs,
    answers,
    sessionAfterMs,
  }
}

describe('a flood of forged initiations with the right mac1', () => {
  let flooded: Flooded
  const allow = vi.spyOn(RateLimiter.prototype, 'allow')

  beforeAll(() => {
    flooded = flood(new HandshakeLoad(), Forged)
  })

  afterAll(() => allow.mockRestore())

  it('costs as many key agreements as the policy allows, and bounded time', () => {
    const { host, agreements, tookMs } = flooded
    expect(tookMs).toBeLessThan(BoundMs)
    // One each until the load is noticed, and the guest's handshake.
    expect(agreements).toBeLessThan(HandshakeBurst + 20)
    expect(host.device.counters.underLoad).toBeGreaterThan(Forged - HandshakeBurst - 20)
  })

  it('gets cookies for an answer, each to where its message came from', () => {
    const { host, answers } = flooded
    // One more went to the guest.
    expect(answers).toHaveLength(host.device.counters.underLoad - 1)
    expect(new Set(answers.map((bytes) => `${bytes[0]} ${bytes.length}`))).toEqual(
      new Set([`${MessageType.CookieReply} ${CookieReplyLength}`]),
    )
  })

  it('leaves no trace of its sources', () => {
    const { host, guest } = flooded
    expect(allow.mock.calls.map(([, address]) => address)).toEqual([guest.address.address])
    expect(host.device.counters.rateLimited).toBe(0)
  })

  it('does not touch a session, and lets a guest in by the cookie exchange', () => {
    const { host, guest, member, net, sessionAfterMs } = flooded
    const fromGuest = net.sent.filter(({ from, to }) => from === 'guest' || to === 'guest')
    expect(fromGuest.map(({ from, type }) => [from, type])).toEqual([
      ['guest', MessageType.Initiation],
      ['host', MessageType.CookieReply],
      ['guest', MessageType.Initiation],
      ['host', MessageType.Response],
      ['guest', MessageType.Transport],
    ])
    expect(sessionAfterMs).toBeLessThan(FloodMs)
    expect(guest.take('session')).toHaveLength(1)
    const payloads = host.payloads()
    expect(payloads.filter((payload) => payload !== 'may I?')).toHaveLength(Rounds)
    expect(payloads).toHaveLength(Rounds + 1)
    host.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.1.0', 'still here'))
    net.run(100)
    expect(member.payloads()).toEqual(['still here'])
  })

  it('costs a key agreement each where the policy sees no load', () => {
    const forged = 2000
    const { host, agreements, answers } = flood({ isUnderLoad: () => false }, forged)
    expect(agreements).toBeGreaterThanOrEqual(forged)
    expect(host.device.counters).toMatchObject({ underLoad: 0, forgedHandshake: forged })
    expect(answers).toEqual([])
  })
})
