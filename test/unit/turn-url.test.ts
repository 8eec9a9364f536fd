import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/core/errors.js'
import { parseTurnUrl } from '../../src/transports/turn/turn-url.js'

describe('a TURN URL', () => {
  it.each([
    ['turn:example.org', { host: 'example.org', port: 3478, transport: 'udp' }],
    ['turn:192.0.2.1:99?transport=tcp', { host: '192.0.2.1', port: 99, transport: 'tcp' }],
    ['turn:[2001:db8::1]:99?transport=udp', { host: '2001:db8::1', port: 99, transport: 'udp' }],
    ['turns:example.org', { host: 'example.org', port: 5349, transport: 'tls' }],
    ['TURNS:example.org:443?transport=TCP', { host: 'example.org', port: 443, transport: 'tls' }],
  ])('is read: %s', (text, wanted) => {
    expect(parseTurnUrl(text)).toEqual(wanted)
  })

  it.each([
    '',
    'stun:example.org',
    'turn:',
    'turn://example.org',
    'turn:example.org:0',
    'turn:example.org:65536',
    'turn:2001:db8::1',
    'turn:example.org?transport=sctp',
    'turns:example.org?transport=udp',
    'turn:user@example.org',
  ])('is refused: %s', (text) => {
    expect(() => parseTurnUrl(text)).toThrow(UsageError)
  })
})
