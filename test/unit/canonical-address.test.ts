import { expect, it } from 'vitest'
import { canonicalAddress } from '../../src/node/canonical-address.js'

it.each([
  ['2001:DB8::0001', '2001:db8::1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['192.0.2.1', '192.0.2.1'],
  ['fe80::1%eth0', 'fe80::1%eth0'],
])('%s is %s to a socket', (written, canonical) => {
  expect(canonicalAddress(written)).toBe(canonical)
})
