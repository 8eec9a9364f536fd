/**
 * The words of UPnP's Internet Gateway Device (UPnP Device Architecture 1.1; WANIPConnection 1 and 2): a search,
 * a description, and calls. XML is read narrowly, by the few elements that are wanted: no entities, no types.
 */
import type { SocketAddress } from '../../core/machine.js'

/** UPnP Device Architecture section 1.3. */
export const SearchGroup: SocketAddress = { address: '239.255.255.250', port: 1900 }

/** Version 2 devices answer to version 1 too; some answer to their own only. */
export const SearchTargets: readonly string[] = [
  'urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  'urn:schemas-upnp-org:device:InternetGatewayDevice:2',
]

/** The services that map ports, best first. */
const ConnectionServices: readonly string[] = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
]

export interface ConnectionService {
  readonly type: string
  /** Behind the description's origin, with its leading slash. */
  readonly path: string
}

/** WANIPConnection section 2.4. */
export const UpnpErrorCode = {
  NoSuchEntryInArray: 714,
  ConflictInMappingEntry: 718,
  OnlyPermanentLeasesSupported: 725,
  ConflictWithOtherMechanisms: 729,
} as const

const MaxUrlLength = 500

/** An M-SEARCH (UPnP Device Architecture section 1.3.2). */
export function encodeSearch(target: string): Uint8Array {
  const lines = ['M-SEARCH * HTTP/1.1', `HOST: ${SearchGroup.address}:${SearchGroup.port}`]
  lines.push('MAN: "ssdp:discover"', 'MX: 1', `ST: ${target}`, '', '')
  return new TextEncoder().encode(lines.join('\r\n'))
}

/**
 * Reads the answer to a search.
 * @param source the address that it came from: a description elsewhere is not fetched, since anybody on the
 *   network could have this machine ask a third one
 * @returns the description's URL; undefined for anything else
 */
export function readSearchAnswer(bytes: Uint8Array, source: string): URL | undefined {
  if (bytes.length > 2048) return undefined
  const [status = '', ...headers] = new TextDecoder().decode(bytes).split('\r\n')
  if (!/^HTTP\/1\.[01] 200\b/.test(status)) return undefined
  const target = headerOf(headers, 'st')
  if (target === undefined || !SearchTargets.includes(target)) return undefined
  return urlAt(headerOf(headers, 'location') ?? '', undefined, source)
}

/**
 * Finds the service that maps ports in a device description.
 * @returns undefined where there is none, or where it is on another machine than the description
 */
export function readDescription(xml: string, location: URL): ConnectionService | undefined {
  if (/<!DOCTYPE|<!ENTITY/i.test(xml)) return undefined
  const base = urlAt(readElement(xml, 'URLBase') ?? '', undefined, location.hostname) ?? location
  const services = xml
    .split('<service>')
    .slice(1)
    .map((part) => part.split('</service>', 1)[0] ?? '')
  for (const type of ConnectionServices) {
    const service = services.find((each) => readElement(each, 'serviceType') === type)
    const url = urlAt(
      service === undefined ? '' : (readElement(service, 'controlURL') ?? ''),
      base,
      location.hostname,
    )
    // One server serves both: a router's other ports are nobody's to name.
    if (url?.host === location.host) return { type, path: `${url.pathname}${url.search}` }
  }
  return undefined
}

/** A call's body (UPnP Device Architecture section 3.2.1). Values are texts that XML has no escapes for. */
export function encodeCall(
  serviceType: string,
  action: string,
  parameters: readonly (readonly [name: string, value: string | number])[],
): string {
  const fields = parameters.map(([name, value]) => `<${name}>${value}</${name}>`).join('')
  const soap = 'http://schemas.xmlsoap.org/soap'
  return (
    `<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="${soap}/envelope/" s:encodingStyle="${soap}/encoding/">` +
    `<s:Body><u:${action} xmlns:u="${serviceType}">${fields}</u:${action}></s:Body></s:Envelope>\r\n`
  )
}

/** A failed call's code; undefined where it gives none. */
export function readErrorCode(xml: string): number | undefined {
  const code = readElement(xml, 'errorCode')
  return code !== undefined && /^\d{1,4}$/.test(code) ? Number(code) : undefined
}

/** The text of the first element of that name, without a namespace; undefined where it is not plain text. */
export function readElement(xml: string, name: string): string | undefined {
  const begin = xml.indexOf(`<${name}`)
  if (begin === -1) return undefined
  const open = xml.indexOf('>', begin)
  const end = xml.indexOf(`</${name}>`, open)
  // Attributes are of a data type's declaration, which some routers write.
  if (open === -1 || end === -1 || !/^(\s[^<]{0,100})?$/.test(xml.slice(begin + name.length + 1, open))) {
    return undefined
  }
  const text = xml.slice(open + 1, end).trim()
  return text.length > MaxUrlLength || text.includes('<') ? undefined : text.replaceAll('&amp;', '&')
}

function headerOf(lines: readonly string[], name: string): string | undefined {
  const line = lines.find((each) => each.toLowerCase().startsWith(`${name}:`))
  return line?.slice(name.length + 1).trim()
}

function urlAt(text: string, base: URL | undefined, host: string): URL | undefined {
  if (text === '' || text.length > MaxUrlLength || !URL.canParse(text, base?.href)) return undefined
  const url = new URL(text, base)
  const isPlain = url.protocol === 'http:' && url.username === '' && url.password === ''
  return isPlain && url.hostname === host && url.port !== '0' ? url : undefined
}
