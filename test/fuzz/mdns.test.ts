import { encode } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeFragment,
  encodeRecord,
  FragmentBytes,
  MaxFragments,
} from '../../src/adapters/mdns/fragments.js'
import { Reassembly } from '../../src/adapters/mdns/reassembly.js'
import { mdnsTraits } from '../../src/adapters/mdns/traits.js'

const senders = fc.stringMatching(/^[0-9a-z]{1,64}$/)
const strings = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 255 }),
    fc
      .tuple(senders, fc.stringMatching(/^[0-9a-f]{32}$/), fc.nat(12), fc.nat(12))
      .map(([sender, digest, index, count]) => Buffer.from(`1 ${sender} ${digest} ${index} ${count}`)),
  ),
  { maxLength: 8 },
)

describe('mdns', () => {
  it('reads what it writes, in any order', () => {
    fc.assert(
      fc.property(
        senders,
        fc.uint8Array({ maxLength: mdnsTraits.maxRecordBytes, size: 'max' }),
        (sender, bytes) => {
          const reassembly = new Reassembly()
          const fragments = encodeRecord(sender, bytes).map((each) => decodeFragment(each)!)
          const results = fragments.reverse().map((each) => reassembly.add('a', 'box', each))
          expect(results.at(-1)).toEqual(bytes)
          expect(fragments.every((each) => each.sender === sender)).toBe(true)
        },
      ),
    )
  })

  it('writes what a DNS packet can carry', () => {
    fc.assert(
      fc.property(senders, fc.uint8Array({ maxLength: 3000, size: 'max' }), (sender, bytes) => {
        for (const data of encodeRecord(sender, bytes)) {
          const packet = encode({ type: 'response', answers: [{ type: 'TXT', name: 'x.local', data }] })
          expect(packet.length).toBeLessThan(1300)
        }
      }),
    )
  })

  it('takes any TXT data for a right fragment or for nothing, and never throws', () => {
    const reassembly = new Reassembly()
    fc.assert(
      fc.property(strings, (data) => {
        const fragment = decodeFragment(data)
        if (fragment === undefined) return
        expect(fragment.sender).toMatch(/^[0-9a-z]{1,64}$/)
        expect(fragment.count).toBeLessThanOrEqual(MaxFragments)
        expect(fragment.index).toBeLessThan(fragment.count)
        expect(fragment.bytes.length).toBeLessThanOrEqual(FragmentBytes)
        reassembly.add('a', 'box', fragment)
      }),
      { numRuns: 2000 },
    )
  })
})
