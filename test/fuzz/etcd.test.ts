import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseEndpointUrl } from '../../src/adapters/etcd/endpoint-url.js'
import { rpcFailure } from '../../src/adapters/etcd/failure.js'
import { boxPrefix, rangeOf, recordKey, senderOf } from '../../src/adapters/etcd/keys.js'
import { SignallingError, UsageError } from '../../src/core/errors.js'
import { numberIn, parseSubnet } from '../../src/core/overlay.js'
import type { Box } from '../../src/core/signalling-adapter.js'

const topic = 'abcdefghijklmnopqrst'
const prefix = boxPrefix('gonet', topic, 'join')
const places = fc.record({
  topic: fc.stringMatching(/^[a-z2-7]{20}$/),
  box: fc.oneof(
    fc.constantFrom<Box>('host', 'join'),
    fc.stringMatching(/^[0-9a-z]{1,64}$/).map((guest): Box => `reply/${guest}`),
  ),
  sender: fc.stringMatching(/^[0-9a-z]{1,64}$/),
})

describe('keys', () => {
  it('give a valid sender or nothing', () => {
    const keys = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 80 }).map((end) => Buffer.concat([Buffer.from(prefix), end])),
      fc.stringMatching(/^[0-9a-zA-Z_/.-]{0,70}$/).map((end) => Buffer.from(prefix + end)),
    )
    fc.assert(
      fc.property(keys, (key) => {
        const sender = senderOf(prefix, key)
        if (sender === undefined) return
        expect(sender).toMatch(/^[0-9a-z]{1,64}$/)
        expect(Buffer.from(key).toString()).toBe(prefix + sender)
      }),
      { numRuns: 2000 },
    )
  })

  it('read back as they were written, within the range of their box alone', () => {
    fc.assert(
      fc.property(fc.constantFrom('gonet', 'räume/of/gonet'), places, places, (root, place, other) => {
        const [box, key] = [boxPrefix(root, place.topic, place.box), Buffer.from(recordKey(root, place))]
        expect(senderOf(box, key)).toBe(place.sender)
        const { start, end } = rangeOf(box)
        const isInside = (each: Buffer): boolean =>
          Buffer.compare(start, each) <= 0 && Buffer.compare(each, end) < 0
        expect(isInside(key)).toBe(true)
        const isSame = place.topic === other.topic && place.box === other.box
        expect(isInside(Buffer.from(recordKey(root, other)))).toBe(isSame)
      }),
    )
  })
})

it('addresses are numbers of the network or nothing', () => {
  const subnet = parseSubnet('10.7.0.0/24')
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.stringMatching(/^10\.7\.0\.\d{1,3}$/),
    fc.ipV4(),
  )
  fc.assert(
    fc.property(texts, (text) => {
      const number = numberIn(subnet, text)
      if (number === undefined) return
      expect(number).toBeGreaterThanOrEqual(2)
      expect(number).toBeLessThanOrEqual(254)
      expect(text).toBe(`10.7.0.${number}`)
    }),
    { numRuns: 2000 },
  )
})

it('whatever etcd says ends as one line without control characters', () => {
  const said = fc.record({ code: fc.integer({ min: 0, max: 20 }), details: fc.string({ unit: 'binary' }) })
  fc.assert(
    fc.property(said, fc.boolean(), fc.boolean(), ({ code, details }, tls, isEtcd) => {
      const text = isEtcd ? `etcdserver: ${details}` : details
      const error = Object.assign(new Error(text), { code, details: text })
      const failure = rpcFailure({ label: '127.0.0.1:2379', tls }, error)
      expect(failure).toBeInstanceOf(SignallingError)
      expect(failure.message).toMatch(/^127\.0\.0\.1:2379: [ -~]{1,200}$/)
    }),
    { numRuns: 2000 },
  )
})

it('endpoint URLs are refused with words that do not repeat them', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary' }).map((end) => `https://user:s3cr3t-word@${end}`),
    fc.webUrl({ withQueryParameters: true }).map((url) => url.replace('//', '//user:s3cr3t-word@')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      try {
        parseEndpointUrl(text)
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError)
        expect((error as UsageError).message).not.toContain('s3cr3t-word')
      }
    }),
    { numRuns: 1000 },
  )
})
