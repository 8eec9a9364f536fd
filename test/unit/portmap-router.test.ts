import { describe, expect, it } from 'vitest'
import { parseIpv4Routes, parseIpv6Routes } from '../../src/node/gateway.js'
import { readDescription, readErrorCode, readSearchAnswer } from '../../src/transports/portmap/upnp-igd.js'

describe('the default gateway', () => {
  it('is that of the best IPv4 metric', () => {
    const text = [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
      'wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
      'eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0',
      'eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    ].join('\n')
    expect(parseIpv4Routes(text)).toEqual({ family: 4, address: '10.0.0.1', device: 'eth0' })
    expect(parseIpv4Routes('')).toBeUndefined()
  })

  it('has a zone where it is a link-local IPv6 address, and is not an unreachable route', () => {
    const zeros = '0'.repeat(32)
    const text = [
      `${zeros} 00 ${zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0`,
      `${zeros} 00 ${zeros} 00 ${zeros} ffffffff 00000001 00000000 00200200 lo`,
    ].join('\n')
    expect(parseIpv6Routes(text)).toEqual({ family: 6, address: 'fe80::1%eth0', device: 'eth0' })
  })
})

describe('UPnP', () => {
  const answer = (location: string): Uint8Array =>
    new TextEncoder().encode(
      `HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLocation: ${location}\r\n\r\n`,
    )
  const location = new URL('http://10.0.0.1:5000/rootDesc.xml')
  const description = (url: string, extra = ''): string =>
    `${extra}<root><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>${url}</controlURL></service></root>`

  it('fetches descriptions only from the machine that answered', () => {
    expect(readSearchAnswer(answer(location.href), '10.0.0.1')).toEqual(location)
    const others = ['http://10.0.0.9/', 'http://127.0.0.1/', 'https://10.0.0.1/', 'file:///etc/passwd', '']
    for (const other of [...others, 'http://user@10.0.0.1/', 'http://10.0.0.1.evil.example/']) {
      expect(readSearchAnswer(answer(other), '10.0.0.1')).toBeUndefined()
    }
  })

  it('calls only the server that described itself', () => {
    expect(readDescription(description('/ctl/IPConn'), location)).toEqual({
      type: 'urn:schemas-upnp-org:service:WANIPConnection:1',
      path: '/ctl/IPConn',
    })
    for (const other of ['http://10.0.0.9:5000/', 'http://10.0.0.1:22/', '//169.254.169.254/', '']) {
      expect(readDescription(description(other), location)).toBeUndefined()
    }
    expect(readDescription(description('/ctl', '<URLBase>http://10.0.0.9/</URLBase>'), location)?.path).toBe(
      '/ctl',
    )
    expect(readDescription(description('/ctl', '<!DOCTYPE x>'), location)).toBeUndefined()
  })

  it('reads error codes', () => {
    expect(readErrorCode('<UPnPError><errorCode>718</errorCode></UPnPError>')).toBe(718)
    expect(readErrorCode('<errorCode><b>718</b></errorCode>')).toBeUndefined()
    expect(readErrorCode('')).toBeUndefined()
  })
})
