import { describe, expect, it } from 'vitest'
import { AllowedAddresses } from '../../src/transports/wireguard/allowed-addresses.js'

function table(peers: Record<string, readonly string[]>): AllowedAddresses<string> {
  const allowed = new AllowedAddresses<string>()
  for (const [peer, ranges] of Object.entries(peers)) allowed.assign(peer, ranges)
  return allowed
}

const v4 = (allowed: AllowedAddresses<string>, address: string): string | undefined =>
  allowed.lookup(Uint8Array.from([9, 9, ...address.split('.').map(Number)]), 2, 4)

const v6 = (allowed: AllowedAddresses<string>, ...groups: readonly number[]): string | undefined =>
  allowed.lookup(Uint8Array.from([9, ...groups.flatMap((group) => [group >> 8, group & 255])]), 1, 16)

describe('allowed addresses', () => {
  it('find the longest prefix', () => {
    const allowed = table({
      all: ['0.0.0.0/0', '::/0'],
      ten: ['10.0.0.0/8'],
      half: ['10.128.0.0/9'],
      odd: ['10.1.2.128/27'],
      host: ['10.1.2.130/32', 'fd00::1/128'],
      network: ['fd00::/8', 'fd12:3456:7800::/39'],
    })
    expect(
      ['192.0.2.1', '10.0.0.1', '10.128.0.0', '10.127.255.255', '10.1.2.159', '10.1.2.160', '10.1.2.130'].map(
        (address) => v4(allowed, address),
      ),
    ).toEqual(['all', 'ten', 'half', 'ten', 'odd', 'ten', 'host'])
    expect(v6(allowed, 0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)).toBe('all')
    expect(v6(allowed, 0xfd00, 0, 0, 0, 0, 0, 0, 1)).toBe('host')
    expect(v6(allowed, 0xfd00, 0, 0, 0, 0, 0, 0, 2)).toBe('network')
  })

  it('know nobody else, and do not mix the families', () => {
    const allowed = table({ peer: ['10.0.0.2/32'] })
    expect(v4(allowed, '10.0.0.3')).toBeUndefined()
    expect(v6(allowed, 0x0a00, 0x0002, 0, 0, 0, 0, 0, 0)).toBeUndefined()
  })

  it('ignore host bits', () => {
    expect(v4(table({ peer: ['10.1.2.3/16'] }), '10.1.200.200')).toBe('peer')
  })

  it('belong to the peer that got them last', () => {
    const allowed = table({ first: ['10.0.0.2/32', '10.0.0.3/32'], second: ['10.0.0.2/32'] })
    expect(v4(allowed, '10.0.0.2')).toBe('second')
    allowed.remove('first')
    expect(v4(allowed, '10.0.0.2')).toBe('second')
    expect(v4(allowed, '10.0.0.3')).toBeUndefined()
    allowed.assign('second', ['10.0.0.4/32'])
    expect(v4(allowed, '10.0.0.2')).toBeUndefined()
    expect(v4(allowed, '10.0.0.4')).toBe('second')
  })

  it.each([
    '',
    '10.0.0.1',
    '10.0.0.1/33',
    '10.0.0.1/-1',
    '10.1/16',
    '0x0a.0.0.1/32',
    'fd00::1/129',
    'fd00::1%1/64',
    '::g/1',
  ])('refuse %j and change nothing', (range) => {
    const allowed = table({ peer: ['10.0.0.2/32'] })
    expect(() => allowed.assign('peer', ['10.0.0.3/32', range])).toThrow(
      expect.objectContaining({ code: 'allowed-address' }),
    )
    expect(v4(allowed, '10.0.0.2')).toBe('peer')
    expect(v4(allowed, '10.0.0.3')).toBeUndefined()
  })
})
