import { describe, expect, it } from 'vitest'
import {
  type Candidate,
  type CandidateKind,
  candidateClass,
  candidatePriority,
  formatCandidates,
  isUsableTarget,
  MaxCandidates,
  parseCandidates,
} from '../../src/transports/path/candidate.js'
import {
  formatCredentials,
  generateCredentials,
  parseCredentials,
} from '../../src/transports/path/credentials.js'
import { SeededRandom } from '../sim/seeded-random.js'

const kinds: readonly CandidateKind[] = ['host', 'srflx', 'prflx', 'mapped', 'predicted', 'relay']

describe('candidates', () => {
  it('of every kind and family come back as they were', () => {
    const addresses = ['192.168.1.4', '2001:db8::1', '::', '::ffff:102:304', '255.255.255.255']
    for (const address of addresses) {
      const candidates = kinds.map((kind, index): Candidate => {
        return { kind, address: { address, port: [0, 1, 80, 41_641, 65_534, 65_535][index]! } }
      })
      expect(parseCandidates(formatCandidates(candidates))).toEqual(candidates)
    }
  })

  it('have the documented text', () => {
    const text = 'host 192.168.1.4:41641, srflx [2001:db8::1]:56112'
    expect(parseCandidates(text)).toEqual([
      { kind: 'host', address: { address: '192.168.1.4', port: 41_641 } },
      { kind: 'srflx', address: { address: '2001:db8::1', port: 56_112 } },
    ])
    expect(formatCandidates(parseCandidates(text)!)).toBe(text)
    expect(parseCandidates('')).toEqual([])
    expect(formatCandidates([])).toBe('')
  })

  it('are at most twelve', () => {
    const many = Array.from({ length: MaxCandidates + 1 }, (_, port): Candidate => {
      return { kind: 'host', address: { address: '10.0.0.1', port } }
    })
    expect(parseCandidates(formatCandidates(many))).toEqual(many.slice(0, MaxCandidates))
    const thirteen = many.map(({ address }) => `host ${address.address}:${address.port}`).join(', ')
    expect(parseCandidates(thirteen)).toBeUndefined()
  })

  it.each([
    ' ',
    'host',
    'host 10.0.0.1',
    'host 10.0.0.1:',
    'host 10.0.0.1:65536',
    'host 10.0.0.1:99999',
    'host 10.0.0.1:080',
    'host 10.0.0.1:-1',
    'host 10.0.0.1:1e3',
    'host 10.0.0.1:80 ',
    ' host 10.0.0.1:80',
    'host  10.0.0.1:80',
    'host 10.0.0.1:80,',
    'host 10.0.0.1:80, ',
    'host 10.0.0.1:80,host 10.0.0.1:81',
    'host 10.0.0.1:80\n',
    'host 10.0.0.01:80',
    'host 10.0.1:80',
    'host 0x7f.0.0.1:80',
    'host 10.0.0.256:80',
    'host [10.0.0.1]:80',
    'host example.org:80',
    'host 2001:db8::1:80',
    'host [2001:db8::1]',
    'host [2001:DB8::1]:80',
    'host [2001:db8:0::1]:80',
    'host [2001:db8::0001]:80',
    'host [2001:db8::1%eth0]:80',
    'host [::ffff:1.2.3.4]:80',
    'host [::1.2.3.4]:80',
    'host []:80',
    'host [:::]:80',
    'HOST 10.0.0.1:80',
    'tcp 10.0.0.1:80',
    'constructor 10.0.0.1:80',
    'host 10.0.0.1:80, constructor 10.0.0.1:80',
  ])('%j is refused', (text) => {
    expect(parseCandidates(text)).toBeUndefined()
  })

  it('have the priorities of RFC 8445, and a class that orders what they cost', () => {
    expect(candidatePriority('host')).toBe(2_130_706_431)
    expect(candidatePriority('prflx')).toBe(1_862_270_975)
    expect(candidatePriority('srflx')).toBe(1_694_498_815)
    expect(candidatePriority('relay')).toBe(16_777_215)
    expect(kinds.map(candidateClass)).toEqual([0, 1, 1, 1, 1, 2])
  })
})

describe('a target', () => {
  const usable = (address: string, loopback = false, port = 80): boolean =>
    isUsableTarget({ address, port }, { loopback })

  it.each([
    '192.168.1.4',
    '10.255.255.255',
    '172.16.0.1',
    '100.64.0.1',
    '8.8.8.8',
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '223.255.255.255',
    '2001:db8::1',
    '2606:4700::1111',
    'fd12:3456::1',
  ])('%s may be checked', (address) => {
    expect(usable(address)).toBe(true)
  })

  it.each([
    ['unspecified', '0.0.0.0'],
    ['of this network', '0.1.2.3'],
    ['link-local', '169.254.169.254'],
    ['multicast', '224.0.0.1'],
    ['multicast', '239.255.255.250'],
    ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['unspecified', '::'],
    ['link-local', 'fe80::1'],
    ['link-local', 'febf::1'],
    ['link-local with a zone', 'fe80::1%eth0'],
    ['multicast', 'ff02::1'],
    ['multicast', 'ff0e::1'],
    ['IPv4-mapped', '::ffff:7f00:1'],
    ['IPv4-mapped', '::ffff:808:808'],
    ['IPv4-compatible', '::7f00:1'],
    ['IPv4-compatible', '::808:808'],
    ['IPv4-translated', '::ffff:0:808:808'],
    ['IPv4 behind NAT64', '64:ff9b::7f00:1'],
    ['IPv4 behind 6to4', '2002:7f00:1::1'],
    ['IPv4 behind Teredo', '2001::1'],
    ['no address', 'localhost'],
    ['no address', ''],
    ['no canonical address', '127.1'],
  ])('%s (%s) may not', (_why, address) => {
    expect(usable(address)).toBe(false)
    expect(usable(address, true)).toBe(false)
  })

  it.each(['127.0.0.1', '127.255.255.254', '::1'])('%s may be checked only with loopback', (address) => {
    expect(usable(address)).toBe(false)
    expect(usable(address, true)).toBe(true)
  })

  it('has a port', () => {
    for (const port of [1, 65_535]) expect(usable('10.0.0.1', false, port)).toBe(true)
    for (const port of [0, -1, 65_536, 1.5, Number.NaN]) expect(usable('10.0.0.1', false, port)).toBe(false)
  })
})

describe('credentials', () => {
  it('come back as they were, and are of ice-chars', () => {
    const random = new SeededRandom('credentials')
    const seen = new Set<string>()
    for (let count = 0; count < 100; count++) {
      const credentials = generateCredentials(random)
      expect(credentials.ufrag).toMatch(/^[A-Za-z0-9+/]{8}$/)
      expect(credentials.password).toMatch(/^[A-Za-z0-9+/]{24}$/)
      expect(parseCredentials(formatCredentials(credentials))).toEqual(credentials)
      seen.add(formatCredentials(credentials))
    }
    expect(seen.size).toBe(100)
    expect(new Set([...seen].join('').replaceAll(' ', '')).size).toBe(64)
  })

  it('of another form are refused', () => {
    const [ufrag, password] = ['abcdEF+/', 'x'.repeat(24)]
    expect(parseCredentials(`${ufrag} ${password}`)).toEqual({ ufrag, password })
    for (const text of [
      '',
      ufrag,
      `${ufrag}${password}`,
      `${ufrag}  ${password}`,
      `${ufrag} ${password}\n`,
      ` ${ufrag} ${password}`,
      `${ufrag}x ${password}`,
      `${ufrag.slice(1)} ${password}`,
      `${ufrag} ${password}x`,
      `${ufrag} ${password.slice(1)}`,
      `abcdEF:/ ${password}`,
      `abcdEFé/ ${password}`,
    ]) {
      expect(parseCredentials(text), text).toBeUndefined()
    }
  })
})
