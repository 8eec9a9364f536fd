/**
 * UPnP-IGD: finds the router, has it map the port, and sees to it that the mapping stays. The libraries for it
 * are large, cannot be bounded, or fetch what any machine on the network tells them to (docs/decisions/0011).
 */
import { createSocket } from 'node:dgram'
import ipaddr from 'ipaddr.js'
import { HttpClient } from '../adapters/shared/http.js'
import { explain, GonetError } from '../core/errors.js'
import type { SocketAddress } from '../core/machine.js'
import type { Clock, Logger, Random } from '../core/ports.js'
import { isExternalAddress } from '../transports/portmap/external-address.js'
import {
  type ConnectionService,
  encodeCall,
  encodeSearch,
  readDescription,
  readElement,
  readErrorCode,
  readSearchAnswer,
  SearchGroup,
  SearchTargets,
  UpnpErrorCode,
} from '../transports/portmap/upnp-igd.js'

export interface UpnpOptions {
  /** The UDP port to map. */
  readonly port: number
  /** The only machine that is listened to; undefined for any at a private address. */
  readonly gateway: string | undefined
  /** This machine's address on the router's network; undefined for the one that the system would send from. */
  readonly localAddress: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Called when the mapping comes, changes or goes. */
  readonly onMapped: (external: SocketAddress | undefined) => void
}

export interface UpnpMapping {
  /** Deletes the mapping; gives up waiting for that after a second. Idempotent. */
  close(): Promise<void>
}

interface Router {
  readonly location: URL
  readonly service: ConnectionService
  readonly localAddress: string
}

interface Granted {
  readonly router: Router
  readonly external: SocketAddress
  readonly renewAt: number
}

const SearchMs = 2500
const SearchAgainMs = 500
const AnswerMs = 3000
const MaxRouters = 4
const MaxDescriptionBytes = 65_536
const MaxAnswerBytes = 16_384
const LeaseSeconds = 3600
/** How often the router is asked whether it still has the mapping. */
const CheckMs = 60_000
const RestMs = 180_000
const MaxPortTries = 4
const CloseMs = 1000

/** Begins to look for a router, and goes on until it is closed. */
export function startUpnp(options: UpnpOptions): UpnpMapping {
  return new UpnpLoop(options)
}

class UpnpLoop implements UpnpMapping {
  readonly #options: UpnpOptions
  readonly #abort = new AbortController()
  readonly #ended: Promise<void>
  #granted: Granted | undefined
  /** What was asked for last, whose answer a `close` may not wait for. */
  #asked: { readonly router: Router; readonly externalPort: number } | undefined
  #closed: Promise<void> | undefined

  constructor(options: UpnpOptions) {
    this.#options = options
    this.#ended = this.#run()
  }

  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options
    const { signal } = this.#abort
    const isAborted = (): boolean => signal.aborted
    while (!isAborted()) {
      const before = this.#granted
      try {
        await this.#keep(signal)
      } catch (error) {
        if (isAborted()) return
        logger.debug('no port mapping by UPnP', { reason: explain(error) })
        this.#set(undefined)
      }
      // A router that was there a minute ago may have restarted on another port: it is looked for at once.
      const waitMs = this.#granted !== undefined ? CheckMs : before !== undefined ? SearchAgainMs : RestMs
      await sleep(clock, waitMs, signal)
    }
  }

  /** One look: at the mapping that there is, or for a router that gives one. */
  async #keep(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    if (this.#granted === undefined) {
      let failure: unknown = new GonetError('upnp-unavailable', 'no router answers')
      for (const location of await search(this.#options, signal)) {
        try {
          this.#set(await this.#map(await this.#describe(location, signal), this.#options.port, signal))
          return
        } catch (error) {
          signal.throwIfAborted()
          failure = error
        }
      }
      throw failure
    }
    const { router, external, renewAt } = this.#granted
    const address = await this.#externalAddress(router, signal)
    const isThere = clock.now() < renewAt && (await this.#hasEntry(router, external.port, signal))
    if (!isThere || address !== external.address) this.#set(await this.#map(router, external.port, signal))
  }

  async #describe(location: URL, signal: AbortSignal): Promise<Router> {
    const answer = await this.#http(location.origin, signal, (client) =>
      client.send(
        { method: 'GET', path: `${location.pathname}${location.search}`, timeoutMs: AnswerMs },
        MaxDescriptionBytes,
        signal,
      ),
    )
    const service = answer.status === 200 ? readDescription(answer.text, location) : undefined
    if (service === undefined) throw new GonetError('upnp-unavailable', 'the router maps no ports')
    const localAddress = this.#options.localAddress ?? (await addressTowards(location.hostname))
    return { location, service, localAddress }
  }

  async #map(router: Router, wantedPort: number, signal: AbortSignal): Promise<Granted> {
    const { clock, port, random } = this.#options
    const address = await this.#externalAddress(router, signal)
    if (!isExternalAddress({ address, port })) {
      throw new GonetError('upnp-double-nat', 'the router has no address of the internet')
    }
    let lease = LeaseSeconds
    let externalPort = wantedPort
    for (let tries = 0; tries < MaxPortTries; tries += 1) {
      this.#asked = { router, externalPort }
      const code = await this.#call(router, 'AddPortMapping', signal, [
        ['NewRemoteHost', ''],
        ['NewExternalPort', externalPort],
        ['NewProtocol', 'UDP'],
        ['NewInternalPort', port],
        ['NewInternalClient', router.localAddress],
        ['NewEnabled', 1],
        ['NewPortMappingDescription', 'gonet'],
        ['NewLeaseDuration', lease],
      ]).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof UpnpError) return error.upnpCode
          throw error
        },
      )
      if (code === undefined) {
        const renewAt = lease === 0 ? Number.POSITIVE_INFINITY : clock.now() + (LeaseSeconds * 1000) / 2
        return { router, external: { address, port: externalPort }, renewAt }
      }
      // Somebody else's, or nobody's: not to be deleted.
      this.#asked = undefined
      if (code === UpnpErrorCode.OnlyPermanentLeasesSupported && lease !== 0) lease = 0
      else if (
        code === UpnpErrorCode.ConflictInMappingEntry ||
        code === UpnpErrorCode.ConflictWithOtherMechanisms
      ) {
        externalPort = 49_152 + Math.floor(random.fraction() * 16_384)
      } else throw new UpnpError('AddPortMapping', code)
    }
    throw new UpnpError('AddPortMapping', UpnpErrorCode.ConflictInMappingEntry)
  }

  async #externalAddress(router: Router, signal: AbortSignal): Promise<string> {
    const xml = await this.#call(router, 'GetExternalIPAddress', signal)
    return readElement(xml, 'NewExternalIPAddress') ?? ''
  }

  async #hasEntry(router: Router, externalPort: number, signal: AbortSignal): Promise<boolean> {
    try {
      const xml = await this.#call(router, 'GetSpecificPortMappingEntry', signal, entryOf(externalPort))
      return readElement(xml, 'NewInternalClient') === router.localAddress
    } catch (error) {
      if (error instanceof UpnpError && error.upnpCode === UpnpErrorCode.NoSuchEntryInArray) return false
      throw error
    }
  }

  async #call(
    { location, service }: Router,
    action: string,
    signal: AbortSignal,
    parameters: readonly (readonly [string, string | number])[] = [],
  ): Promise<string> {
    const headers = {
      'Content-Type': 'text/xml; charset="utf-8"',
      SOAPAction: `"${service.type}#${action}"`,
    }
    const body = encodeCall(service.type, action, parameters)
    const { status, text } = await this.#http(location.origin, signal, (client) =>
      client.send(
        { method: 'POST', path: service.path, headers, body, timeoutMs: AnswerMs },
        MaxAnswerBytes,
        signal,
      ),
    )
    if (status === 200) return text
    throw new UpnpError(action, readErrorCode(text))
  }

  /** A connection of its own for each exchange: some routers' servers close theirs without a word. */
  async #http<Result>(
    origin: string,
    signal: AbortSignal,
    use: (client: HttpClient) => Promise<Result>,
  ): Promise<Result> {
    const { host, hostname } = new URL(origin)
    const url = { base: origin, host: hostname, label: host, tls: false }
    const client = await HttpClient.open({ url, caOption: '', clock: this.#options.clock })
    try {
      signal.throwIfAborted()
      return await use(client)
    } finally {
      client.close()
    }
  }

  #set(granted: Granted | undefined): void {
    const before = this.#granted?.external
    this.#granted = granted
    const after = granted?.external
    if (before?.address === after?.address && before?.port === after?.port) return
    if (!this.#abort.signal.aborted) this.#options.onMapped(after)
  }

  async #end(): Promise<void> {
    this.#abort.abort()
    await this.#ended
    const asked = this.#asked
    if (asked === undefined) return
    const deadline = new AbortController()
    const cancel = this.#options.clock.after(CloseMs, () => deadline.abort())
    const entry = entryOf(asked.externalPort)
    await this.#call(asked.router, 'DeletePortMapping', deadline.signal, entry).catch(() => undefined)
    cancel()
  }
}

class UpnpError extends GonetError {
  readonly upnpCode: number | undefined

  constructor(action: string, code: number | undefined) {
    super('upnp-refused', `the router refuses ${action}${code === undefined ? '' : ` with code ${code}`}`)
    this.upnpCode = code
  }
}

function entryOf(externalPort: number): readonly (readonly [string, string | number])[] {
  return [
    ['NewRemoteHost', ''],
    ['NewExternalPort', externalPort],
    ['NewProtocol', 'UDP'],
  ]
}

/** The descriptions' URLs of the routers that answer: as soon as the known one does, else after some time. */
async function search(options: UpnpOptions, signal: AbortSignal): Promise<readonly URL[]> {
  const { clock, gateway, localAddress } = options
  const found = new Map<string, URL>()
  const socket = createSocket('udp4')
  const cancels: (() => void)[] = []
  try {
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      // No network, no multicast: nobody answers then.
      socket.on('error', () => resolve())
      socket.on('message', (bytes, { address }) => {
        if (gateway === undefined ? !isPrivate(address) : address !== gateway) return
        const location = readSearchAnswer(bytes, address)
        if (location === undefined || found.size >= MaxRouters) return
        found.set(location.href, location)
        if (gateway !== undefined) resolve()
      })
      const ask = (): void => {
        for (const target of SearchTargets) {
          for (const to of gateway === undefined ? [SearchGroup.address] : [SearchGroup.address, gateway]) {
            socket.send(encodeSearch(target), SearchGroup.port, to, () => undefined)
          }
        }
      }
      socket.bind({ address: localAddress ?? '0.0.0.0', port: 0 }, () => {
        if (localAddress !== undefined) socket.setMulticastInterface(localAddress)
        ask()
      })
      cancels.push(clock.after(SearchAgainMs, ask), clock.after(SearchMs, resolve))
    })
  } finally {
    for (const cancel of cancels) cancel()
    socket.close()
  }
  signal.throwIfAborted()
  return [...found.values()]
}

function isPrivate(address: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(address) && ipaddr.IPv4.parse(address).range() === 'private'
}

/**
 * The address that the system sends from to a router. Nothing is sent.
 * @throws the system's error where it has no route
 */
export async function addressTowards(address: string): Promise<string> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.connect(9, address, () => resolve())
    })
    return socket.address().address
  } finally {
    socket.close()
  }
}

function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const wake = (): void => {
      cancel()
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const cancel = clock.after(ms, wake)
    signal.addEventListener('abort', wake, { once: true })
  })
}
