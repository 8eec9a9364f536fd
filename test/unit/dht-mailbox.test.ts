/** What second implementations need: derived keys and sealed mailboxes, as docs/protocol.md has them. */
import DHT from '@hyperswarm/dht'
import { describe, expect, it } from 'vitest'
import { encodeFrame, type Frame } from '../../src/adapters/dht/frames.js'
import { ExchangeKey, meetingPoint, topicKey } from '../../src/adapters/dht/keys.js'
import { Mailbox, MaxMailboxBytes, readMailbox } from '../../src/adapters/dht/mailbox.js'
import type { Random } from '../../src/core/ports.js'

const topic = 'abcdefghijklmnopqrst'
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const filledWith = (byte: number): Random => ({
  bytes: (length) => new Uint8Array(length).fill(byte),
  fraction: () => 0,
})

/** A DHT in memory: what was put, by key or hash. */
class Memory {
  readonly mutables = new Map<string, { seq: number; value: Buffer }>()
  readonly immutables = new Map<string, Buffer>()

  mutablePut({ publicKey }: DHT.KeyPair, value: Buffer, { seq }: { seq: number }): Promise<void> {
    this.mutables.set(hex(publicKey), { seq, value })
    return Promise.resolve()
  }

  mutableGet(key: Buffer, { seq }: { seq: number }): Promise<{ seq: number; value: Buffer } | null> {
    const found = this.mutables.get(hex(key))
    return Promise.resolve(found !== undefined && found.seq >= seq ? found : null)
  }

  immutablePut(value: Buffer): Promise<{ hash: Buffer }> {
    const hash = Buffer.from(hex(value).slice(0, 64).padEnd(64, '0'), 'hex')
    this.immutables.set(hex(hash), value)
    return Promise.resolve({ hash })
  }

  immutableGet(hash: Buffer): Promise<{ value: Buffer } | null> {
    const value = this.immutables.get(hex(hash))
    return Promise.resolve(value === undefined ? null : { value })
  }
}

const recordOf = (sender: string, length: number): Frame => ({
  type: 'record',
  box: 'join',
  sender,
  expiresInMs: 60_000,
  bytes: Uint8Array.from({ length }, (_, index) => (index * 7 + sender.length) & 255),
})

function set(): { memory: Memory; dht: DHT; keyPair: DHT.KeyPair; mailbox: Mailbox } {
  const memory = new Memory()
  const dht = memory as unknown as DHT
  const keyPair = DHT.keyPair(Buffer.alloc(32, 1))
  let calls = 0
  const random: Random = { bytes: (length) => new Uint8Array(length).fill(++calls), fraction: () => 0 }
  return { memory, dht, keyPair, mailbox: new Mailbox(dht, keyPair, topicKey(topic), random) }
}

describe('a mailbox', () => {
  it.each([0, 1, 500, 900, 935, 936, 937, 1000, 1900, 4608, 8192])(
    'of a record of %i bytes is read as it was written, and no value is larger than 1,000 bytes',
    async (length) => {
      const { memory, dht, keyPair, mailbox } = set()
      const frames = [recordOf('guest', length)]
      await mailbox.write(frames)
      const read = await readMailbox(dht, keyPair.publicKey, topicKey(topic))
      expect(read).toEqual({ seq: 1, frames })
      const values = [
        ...memory.immutables.values(),
        ...[...memory.mutables.values()].map(({ value }) => value),
      ]
      expect(Math.max(...values.map((value) => value.length))).toBeLessThanOrEqual(1000)
      // Two of the three that a join may put; its announcement is the third.
      if (length <= 1800) expect(values.length).toBeLessThanOrEqual(2)
    },
  )

  it('is replaced, and read again only then', async () => {
    const { dht, keyPair, mailbox } = set()
    await mailbox.write([recordOf('a', 10)])
    await mailbox.write([recordOf('b', 10)])
    expect(await readMailbox(dht, keyPair.publicKey, topicKey(topic), 1)).toEqual({
      seq: 2,
      frames: [recordOf('b', 10)],
    })
    expect(await readMailbox(dht, keyPair.publicKey, topicKey(topic), 2)).toBeUndefined()
  })

  it('takes as much as fits, and leaves the rest out', async () => {
    const { dht, keyPair, mailbox } = set()
    await mailbox.write([recordOf('a', 8000), recordOf('b', 8192), recordOf('c', 100)])
    const read = await readMailbox(dht, keyPair.publicKey, topicKey(topic))
    expect(read?.frames).toEqual(
      [recordOf('a', 8000), recordOf('b', 8192), recordOf('c', 100)].filter(fits()),
    )
  })

  it('cannot be read with another topic, nor where a piece is missing', async () => {
    const { memory, dht, keyPair, mailbox } = set()
    await mailbox.write([recordOf('a', 3000)])
    await expect(readMailbox(dht, keyPair.publicKey, topicKey(`${topic.slice(1)}u`))).rejects.toMatchObject({
      code: 'dht-mailbox-wrong',
    })
    const [first = ''] = memory.immutables.keys()
    memory.immutables.delete(first)
    expect(await readMailbox(dht, keyPair.publicKey, topicKey(topic))).toBeUndefined()
  })
})

describe('keys', () => {
  it('of an answer are the same for both, and nobody else', () => {
    const [host, guest, other] = [3, 5, 7].map((byte) => new ExchangeKey(filledWith(byte)))
    const keys = { hostKey: Buffer.alloc(32, 1), guestKey: Buffer.alloc(32, 2) }
    const ours = host?.answerKeys(guest?.publicKey ?? new Uint8Array(32), keys)
    expect(ours).toEqual(guest?.answerKeys(host?.publicKey ?? new Uint8Array(32), keys))
    expect(ours).not.toEqual(other?.answerKeys(host?.publicKey ?? new Uint8Array(32), keys))
    expect(host?.answerKeys(new Uint8Array(32), keys)).toBeUndefined()
    expect(hex(ours?.seed ?? Buffer.alloc(0))).toMatchInlineSnapshot(
      `"5d98744756b0a52c79867bdade867f05a3c98b1372802ce2486fb6e2edfc08ca"`,
    )
    expect(hex(ours?.sealingKey ?? Buffer.alloc(0))).toMatchInlineSnapshot(
      `"bd9ad2365f30a5fd9aae5ead23079c688633bcf4259c13171339e8f33699d14c"`,
    )
  })

  it('of a topic are as documented', () => {
    expect(hex(meetingPoint(topic, 'host'))).toMatchInlineSnapshot(
      `"4495c44fa1818d99c96a191f29b33707cf7d158522ceed523003ae0ed141caa2"`,
    )
    expect(hex(meetingPoint(topic, 'inbox'))).toMatchInlineSnapshot(
      `"45c502582907faf3d3b779022d040791c2d1742b58dfa0cf18a7bfd174532ec6"`,
    )
    expect(hex(topicKey(topic))).toMatchInlineSnapshot(
      `"6d0f3c31802a1f1219709d1de4e4ee0b6629e9d51232e39e1b62b8dbfeaffc8a"`,
    )
  })
})

function fits(): (frame: Frame) => boolean {
  let length = 0
  return (frame) => {
    const bytes = encodeFrame(frame).length
    if (length + bytes > MaxMailboxBytes) return false
    length += bytes
    return true
  }
}
