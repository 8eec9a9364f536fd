/**
 * Has the router forward a UDP port to this machine: by PCP or NAT-PMP, and by UPnP-IGD where the router speaks
 * neither.
 */
import { createSocket, type Socket } from 'node:dgram'
import type { SocketAddress } from '../core/machine.js'
import type { Clock, Logger, Random } from '../core/ports.js'
import type { Candidate } from '../transports/path/candidate.js'
import { AnnouncementGroup, ClientPort, ServerPort } from '../transports/portmap/constants.js'
import { PortMapper } from '../transports/portmap/port-mapper.js'
import type { PortMapperEvent } from '../transports/portmap/port-mapper-events.js'
import { defaultGateways } from './gateway.js'
import { startUpnp, type UpnpMapping } from './upnp.js'

export interface PortMappingOptions {
  /** The UDP port to map: that of the room's IPv4 socket. */
  readonly port: number
  /** This machine's IPv4 address on the router's network; undefined for the one that the system would choose. */
  readonly localAddress?: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Called when the mapping comes or changes, and with undefined when it goes. Never after `close`. */
  readonly onMapped: (candidate: Candidate | undefined) => void
  /** Closes the mapping when it is aborted. */
  readonly abort?: AbortSignal | undefined
}

export interface PortMapping {
  /** Deletes the mapping; gives up waiting for that after a second or so. Idempotent. Never rejects. */
  close(): Promise<void>
}

/** PCP and NAT-PMP have this long before UPnP is tried beside them. */
const HeadStartMs = 1000
/** How often the default gateway is looked at: networks come and go without a word to programs. */
const LookAroundMs = 10_000
const CloseMs = 1000

/** Begins to ask the router, and goes on until it is closed. Failures are quiet: most routers refuse. */
export function startPortMapping(options: PortMappingOptions): PortMapping {
  return new Mapping(options)
}

class Mapping implements PortMapping {
  readonly #options: PortMappingOptions
  #gateway: string | undefined
  #session: GatewaySession | undefined
  #upnp: UpnpMapping | undefined
  #bySession: SocketAddress | undefined
  #byUpnp: SocketAddress | undefined
  #told: SocketAddress | undefined
  #cancelHeadStart: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #leaving: Promise<void>[] = []
  #closed: Promise<void> | undefined
  readonly #onAbort = (): void => void this.close()

  constructor(options: PortMappingOptions) {
    this.#options = options
    options.abort?.addEventListener('abort', this.#onAbort)
    if (options.abort?.aborted === true) void this.close()
    else this.#look()
  }

  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  /** Begins anew where the default gateway is another one. */
  #look(): void {
    const gateway = defaultGateways().find(({ family }) => family === 4)?.address
    if (this.#cancelLook === undefined || gateway !== this.#gateway || this.#session?.isBroken === true) {
      this.#leave()
      this.#gateway = gateway
      this.#begin(gateway)
    }
    this.#cancelLook = this.#options.clock.after(LookAroundMs, () => this.#look())
  }

  #begin(gateway: string | undefined): void {
    const { clock } = this.#options
    if (gateway === undefined) {
      // Where no file tells the routes, a router can still be found by its answer; on Linux there is none.
      if (process.platform !== 'linux') this.#startUpnp(undefined)
      return
    }
    const session = new GatewaySession(this.#options, gateway, (event) => this.#handle(session, event))
    this.#session = session
    this.#cancelHeadStart = clock.after(HeadStartMs, () => {
      if (this.#bySession === undefined) this.#startUpnp(gateway)
    })
  }

  #handle(session: GatewaySession, event: PortMapperEvent): void {
    // One that is being left only has its deletion to say.
    if (session !== this.#session || event.type === 'closed') return
    this.#options.logger.debug('port mapping', { ...event })
    if (event.type === 'mapped') {
      this.#bySession = event.external
      this.#stopUpnp()
    } else {
      this.#bySession = undefined
      // Behind two NATs the same router has no better address to give.
      if (event.type === 'failed' && event.reason === 'double-nat') this.#stopUpnp()
      else if (event.type === 'failed') this.#startUpnp(this.#gateway)
    }
    this.#tell()
  }

  #startUpnp(gateway: string | undefined): void {
    if (this.#upnp !== undefined) return
    const { port, localAddress, clock, random, logger } = this.#options
    this.#upnp = startUpnp({
      port,
      gateway,
      localAddress,
      clock,
      random,
      logger,
      onMapped: (external) => {
        this.#byUpnp = external
        this.#tell()
      },
    })
  }

  #stopUpnp(): void {
    this.#cancelHeadStart?.()
    this.#byUpnp = undefined
    if (this.#upnp !== undefined) this.#remember(this.#upnp.close())
    this.#upnp = undefined
  }

  #leave(): void {
    this.#stopUpnp()
    if (this.#session !== undefined) this.#remember(this.#session.close())
    this.#session = undefined
    this.#bySession = undefined
    this.#tell()
  }

  #tell(): void {
    const external = this.#bySession ?? this.#byUpnp
    if (external?.address === this.#told?.address && external?.port === this.#told?.port) return
    this.#told = external
    if (this.#closed === undefined) this.#options.onMapped(external && { kind: 'mapped', address: external })
  }

  /** What is left behind is waited for at the end. */
  #remember(closing: Promise<void>): void {
    this.#leaving.push(closing)
    void closing.then(() => {
      this.#leaving = this.#leaving.filter((each) => each !== closing)
    })
  }

  async #end(): Promise<void> {
    const { abort } = this.#options
    abort?.removeEventListener('abort', this.#onAbort)
    this.#cancelLook?.()
    // The first step of `close` has not ended yet: nobody is told of what is left now.
    this.#told = undefined
    this.#stopUpnp()
    if (this.#session !== undefined) this.#remember(this.#session.close())
    this.#session = undefined
    await Promise.all(this.#leaving)
  }
}

/**
 * PCP and NAT-PMP with one router. On a socket of its own: neither protocol looks at the source port, and one
 * that is connected hears nobody but the router, and leaves the room's socket with one protocol less to tell
 * apart.
 */
class GatewaySession {
  /** Whether the socket can do no more: its address is gone. */
  isBroken = false
  readonly #options: PortMappingOptions
  readonly #onEvent: (event: PortMapperEvent) => void
  readonly #socket: Socket
  /** Shared with whoever else on this machine listens there. */
  readonly #announcements: Socket
  #mapper: PortMapper | undefined
  #cancelTimer: (() => void) | undefined
  #closed: Promise<void> | undefined
  #hasClosed: (() => void) | undefined

  constructor(options: PortMappingOptions, gateway: string, onEvent: (event: PortMapperEvent) => void) {
    this.#options = options
    this.#onEvent = onEvent
    this.#socket = createSocket('udp4')
    this.#announcements = createSocket({ type: 'udp4', reuseAddr: true })
    this.#announcements.on('error', () => undefined)
    this.#socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      // A refused connection is a router that has no such server, which its silence says too.
      if (code !== 'ECONNREFUSED') this.isBroken = true
    })
    this.#socket.bind({ address: options.localAddress ?? '0.0.0.0', port: 0 }, () => {
      if (this.#closed === undefined) this.#socket.connect(ServerPort, gateway, () => this.#start(gateway))
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  #start(gateway: string): void {
    if (this.#closed !== undefined) return
    const { port, random } = this.#options
    const clientAddress = this.#socket.address().address
    this.#mapper = new PortMapper({ random, gateway, clientAddress, internalPort: port })
    this.#socket.on('message', (bytes, source) => {
      this.#run((mapper, now) => mapper.handleDatagram(now, source, bytes))
    })
    this.#announcements.on('message', (bytes, source) => {
      this.#run((mapper, now) => mapper.handleAnnouncement(now, source, bytes))
    })
    this.#announcements.bind({ port: ClientPort, address: '0.0.0.0' }, () => {
      try {
        this.#announcements.addMembership(AnnouncementGroup, clientAddress)
      } catch {
        // Without announcements a restart is noticed within a minute.
      }
    })
    this.#run((mapper, now) => mapper.start(now))
  }

  #run(input: (mapper: PortMapper, now: number) => void): void {
    const { clock } = this.#options
    const mapper = this.#mapper
    if (mapper === undefined) return
    input(mapper, clock.now())
    for (let sent = mapper.pollTransmit(); sent !== undefined; sent = mapper.pollTransmit()) {
      this.#socket.send(sent.bytes, () => undefined)
    }
    for (let event = mapper.pollEvent(); event !== undefined; event = mapper.pollEvent()) {
      if (event.type === 'closed') this.#hasClosed?.()
      this.#onEvent(event)
    }
    this.#cancelTimer?.()
    const deadline = mapper.pollTimeout()
    if (deadline === undefined) return
    this.#cancelTimer = clock.after(Math.max(0, Math.ceil(deadline - clock.now())), () =>
      this.#run((each, now) => each.handleTimeout(now)),
    )
  }

  async #end(): Promise<void> {
    let cancel = (): void => undefined
    if (this.#mapper !== undefined && !this.isBroken) {
      await new Promise<void>((resolve) => {
        this.#hasClosed = resolve
        cancel = this.#options.clock.after(CloseMs, resolve)
        this.#run((mapper, now) => mapper.close(now))
      })
    }
    cancel()
    this.#mapper = undefined
    this.#cancelTimer?.()
    await Promise.all([this.#socket, this.#announcements].map((each) => closeSocket(each)))
  }
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(() => resolve())
    } catch {
      resolve()
    }
  })
}
