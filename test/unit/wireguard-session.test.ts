import { describe, expect, it } from 'vitest'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import type { SessionKeys } from '../../src/transports/wireguard/handshake.js'
import { decodeMessage, type Transport } from '../../src/transports/wireguard/messages.js'
import { Session } from '../../src/transports/wireguard/session.js'
import { Sessions } from '../../src/transports/wireguard/sessions.js'

function keys(localIndex = 1): SessionKeys {
  const key = new Uint8Array(32).fill(5)
  return { sendKey: key.slice(), receiveKey: key.slice(), localIndex, remoteIndex: localIndex }
}

const session = (localIndex: number): Session => new Session(nodeNoiseCrypto, keys(localIndex), true, 0, 0)

describe('session', () => {
  it('seals to a multiple of 16 bytes, with counters from 0', () => {
    const own = session(0xfedcba98)
    const messages = [0, 1, 16, 17].map(
      (length) => decodeMessage(own.seal(new Uint8Array(length))) as Transport,
    )
    expect(messages.map((message) => message.counter)).toEqual([0, 1, 2, 3])
    expect(messages.map((message) => message.receiver)).toEqual(Array(4).fill(0xfedcba98))
    expect(messages.map((message) => message.encryptedPacket.length)).toEqual([16, 32, 32, 48])
    expect(messages.map((message) => own.open(message)).map((packet) => packet.length)).toEqual([
      0, 16, 16, 32,
    ])
  })

  it('refuses counters from RejectAfterMessages on', () => {
    const message = {
      type: 4,
      receiver: 1,
      counter: 2 ** 53 - 1,
      encryptedPacket: new Uint8Array(16),
    } as const
    nodeNoiseCrypto.seal(
      keys().sendKey,
      message.counter,
      new Uint8Array(0),
      undefined,
      message.encryptedPacket,
      0,
    )
    expect(session(1).open(message)).toBe('forged')
  })

  it('is as old as the clock that says more makes it', () => {
    const own = new Session(nodeNoiseCrypto, keys(), true, 1000, 50_000)
    expect(own.age(3000, 51_000)).toBe(2000)
    expect(own.age(3000, 90_000)).toBe(40_000)
    expect(own.age(3000, 0)).toBe(2000)
  })

  it('zeros its keys', () => {
    const own = keys()
    new Session(nodeNoiseCrypto, own, true, 0, 0).wipe()
    expect([own.sendKey, own.receiveKey]).toEqual([new Uint8Array(32), new Uint8Array(32)])
  })
})

describe('sessions of a peer', () => {
  function sessions(): { readonly all: Sessions; readonly released: number[] } {
    const released: number[] = []
    return { all: new Sessions((index) => released.push(index)), released }
  }

  it('move on as the initiator’s: the last one still receives', () => {
    const { all, released } = sessions()
    for (const index of [1, 2, 3]) all.addAsInitiator(session(index))
    expect(all.current?.localIndex).toBe(3)
    expect(all.find(2)?.localIndex).toBe(2)
    expect(released).toEqual([1])
  })

  it('move on as the responder’s only when confirmed', () => {
    const { all, released } = sessions()
    all.addAsInitiator(session(1))
    const [unconfirmed, confirmed] = [session(2), session(3)]
    all.addAsResponder(unconfirmed)
    all.addAsResponder(confirmed)
    expect(released).toEqual([2])
    expect(all.current?.localIndex).toBe(1)
    expect(all.confirm(confirmed)).toBe(true)
    expect(all.confirm(confirmed)).toBe(false)
    expect(all.current?.localIndex).toBe(3)
    expect(all.find(1)?.localIndex).toBe(1)
  })

  it('keep the unconfirmed one where both sides initiated', () => {
    const { all, released } = sessions()
    all.addAsInitiator(session(1))
    all.addAsResponder(session(2))
    all.addAsInitiator(session(3))
    expect(released).toEqual([1])
    expect(all.current?.localIndex).toBe(3)
    expect(all.find(2)?.localIndex).toBe(2)
  })

  it('are all released by a wipe', () => {
    const { all, released } = sessions()
    all.addAsInitiator(session(1))
    all.addAsInitiator(session(2))
    all.addAsResponder(session(3))
    all.wipe()
    expect(released.sort()).toEqual([1, 2, 3])
    expect(all.isEmpty).toBe(true)
  })
})
