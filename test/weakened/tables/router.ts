/** Against neighbours that play the router: whose word a port mapping is. */
import type { Weakening } from '../weakening.js'

const mapper = 'unit/portmap-mapper.test.ts'
const router = 'unit/portmap-router.test.ts'
const fuzz = 'fuzz/portmap.test.ts'

export const portMapping: readonly Weakening[] = [
  {
    rule: 'only the router answers',
    source: 'transports/portmap/port-mapper.ts',
    defence: 'if (address === this.#options.gateway && port === ServerPort) return true',
    weakened: 'if (address !== "") return true',
    attack: [mapper, 'a port mapper > hears nobody but the router, and only the answer to what it asked'],
  },
  {
    rule: 'a PCP answer bears the nonce',
    source: 'transports/portmap/port-mapper.ts',
    defence: 'map.nonce.every((byte, index) => byte === this.#nonce[index])',
    weakened: 'this.#nonce.length > 0',
    attack: [mapper, 'a port mapper > hears nobody but the router, and only the answer to what it asked'],
  },
  {
    rule: 'a NAT-PMP answer is about the port',
    source: 'transports/portmap/port-mapper.ts',
    defence: "if (response.type === 'mapping') return response.internalPort === this.#options.internalPort",
    weakened: "if (response.type === 'mapping') return true",
    attack: [mapper, 'a port mapper > takes no NAT-PMP mapping of another port'],
  },
  {
    rule: 'a description lies at the machine that answered',
    source: 'transports/portmap/upnp-igd.ts',
    defence: 'url.hostname === host',
    weakened: 'host.length > 0',
    attack: [router, 'UPnP > fetches descriptions only from the machine that answered'],
  },
  {
    rule: 'no URL is taken but the router’s own',
    source: 'transports/portmap/upnp-igd.ts',
    defence: 'url.hostname === host',
    weakened: 'host.length > 0',
    attack: [fuzz, 'port mapping > reads any text of a router without an error, and no URL but its own'],
  },
  {
    rule: 'calls go to the server that described itself',
    source: 'transports/portmap/upnp-igd.ts',
    defence: 'if (url?.host === location.host) return',
    weakened: 'if (url !== undefined) return',
    attack: [router, 'UPnP > calls only the server that described itself'],
  },
]
