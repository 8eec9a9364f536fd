import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { parseIpv4Routes, parseIpv6Routes } from '../../src/node/gateway.js'
import { decodeNatPmpResponse } from '../../src/transports/portmap/nat-pmp.js'
import { decodePcpResponse, encodePcpMapRequest } from '../../src/transports/portmap/pcp.js'
import { PortMapper } from '../../src/transports/portmap/port-mapper.js'
import {
  readDescription,
  readElement,
  readSearchAnswer,
  SearchTargets,
} from '../../src/transports/portmap/upnp-igd.js'
import { SeededRandom } from '../sim/seeded-random.js'

const numRuns = 2000
const gateway = { address: '10.0.0.1', port: 5351 }

const headed = fc
  .tuple(fc.constantFrom(0, 2), fc.constantFrom(0, 1, 128, 129), fc.uint8Array({ maxLength: 80 }))
  .map(([version, opcode, rest]) => Uint8Array.from([version, opcode, 0, ...rest]))
const datagram = fc.oneof(fc.uint8Array({ maxLength: 1500 }), headed)

describe('port mapping', () => {
  it('decodes any bytes or throws a DecodeError', () => {
    fc.assert(
      fc.property(datagram, (bytes) => {
        for (const decode of [decodePcpResponse, decodeNatPmpResponse]) {
          try {
            decode(bytes)
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError)
          }
        }
      }),
      { numRuns },
    )
  })

  it('reads what PCP requests say back from their echo', () => {
    const ipv6 = fc.ipV6().filter((text) => !text.includes('.'))
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), ipv6), fc.nat({ max: 65_535 }), (address, port) => {
        const nonce = new Uint8Array(12).fill(7)
        const request = { clientAddress: address, nonce, lifetimeSeconds: 60, internalPort: port }
        const bytes = encodePcpMapRequest({ ...request, suggested: { address, port } })
        bytes[1]! |= 0x80
        bytes[3] = 0
        const { map, lifetimeSeconds } = decodePcpResponse(bytes)
        expect(lifetimeSeconds).toBe(60)
        expect(map).toMatchObject({ nonce, internalPort: port, external: { port } })
      }),
      { numRuns: 500 },
    )
  })

  it('never maps by what it did not ask for, sends a bounded answer, and goes on', () => {
    const random = new SeededRandom('portmap')
    const options = { random, gateway: gateway.address, clientAddress: '10.0.0.2', internalPort: 41_641 }
    const mapper = new PortMapper(options)
    mapper.start(0)
    fc.assert(
      fc.property(datagram, fc.boolean(), (bytes, isAnnouncement) => {
        if (isAnnouncement) mapper.handleAnnouncement(1, gateway, bytes)
        else mapper.handleDatagram(1, gateway, bytes)
        let sent = 0
        while (mapper.pollTransmit() !== undefined) sent += 1
        expect(sent).toBeLessThanOrEqual(2)
        for (let event = mapper.pollEvent(); event !== undefined; event = mapper.pollEvent()) {
          expect(event.type).toBe('failed')
        }
      }),
      { numRuns },
    )
    mapper.close(2)
    expect(mapper.pollTimeout()).toBeUndefined()
  })

  it('reads any text of a router without an error, and no URL but its own', () => {
    const piece = fc.constantFrom(
      '<service>',
      '</service>',
      '<serviceType>',
      '</serviceType>',
      '<controlURL>',
      '</controlURL>',
      '<URLBase>',
      'urn:schemas-upnp-org:service:WANIPConnection:1',
      'http://10.0.0.1:5000/',
      'http://10.0.0.2/',
      '/ctl',
      '<',
      '>',
    )
    const location = new URL('http://10.0.0.1:5000/root.xml')
    const xml = fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 60 })
    const url = fc.array(
      fc.constantFrom('http://', '10.0.0.1', '10.0.0.2', ':5000', '/', '@', '#', '?', '\\', 'router', '//'),
      {
        maxLength: 8,
      },
    )
    fc.assert(
      fc.property(xml, url, (pieces, parts) => {
        const text = pieces.join('')
        const answer = `HTTP/1.1 200 OK\r\nST: ${SearchTargets[0]}\r\nLOCATION: ${parts.join('')}\r\n`
        expect(readDescription(text, location)?.path ?? '/').toMatch(/^\//)
        readElement(text, 'URLBase')
        parseIpv4Routes(text)
        parseIpv6Routes(text)
        const source = '10.0.0.1'
        expect(readSearchAnswer(new TextEncoder().encode(answer), source)?.hostname ?? source).toBe(source)
      }),
      { numRuns },
    )
  })
})
