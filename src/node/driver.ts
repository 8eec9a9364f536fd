/**
 * The one event loop: it runs a room's machine on real sockets, timers and signalling adapters. After each
 * input it drains the machine once: transmits, events, the next deadline.
 */
import type { AddressAllocator, AddressTransmit } from '../core/address-allocator.js'
import { explain, GonetError } from '../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../core/machine.js'
import type { PasswordProof, PasswordRequest } from '../core/password-proof.js'
import type { Clock, InterfaceAddress, IpInterface, Logger, UdpSocket } from '../core/ports.js'
import { Rendezvous } from '../core/rendezvous.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../core/signalling-adapter.js'
import type { NewInvite } from '../room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../room/admission/invite-register.js'
import type { Ban } from '../room/admission/register.js'
import type { MessageEvent, RoomEvent } from '../room/events.js'
import type { Named } from '../room/find-member.js'
import type { RelayInput } from '../room/relays.js'
import type { Member, Ping, Room } from '../room/room.js'
import type { AdministrativeAct, LeaveOptions, RoomMachine, RoomTransmit } from '../room/room-machine.js'
import type { PathDatagram } from '../transports/path/paths.js'
import { EventQueue } from './event-queue.js'
import { FurtherSockets } from './further-sockets.js'
import { Pings, roomEnded } from './pings.js'
import type { RelayStreams } from './relay-streams.js'

/** How long closing waits for the backends to take our records back. */
const RetractMs = 1000
const TimerMaxMs = 60_000
/** How often it is looked at which networks this machine is in. */
const LookAroundMs = 2000
/** What was dropped is told without being asked for where it is this much. */
const ManyDropped = 100

export interface DriverOptions {
  readonly id: string
  readonly machine: RoomMachine
  /** At most one a family. */
  readonly sockets: readonly UdpSocket[]
  /** Where this machine is on its own networks, which come and go. */
  readonly localAddresses: () => readonly SocketAddress[]
  /** Makes the adapters, which report their state to the driver, and what ends the room: a wrong configuration. */
  readonly adapters: (
    onState: (adapter: string, state: AdapterState) => void,
    onWrong: (error: unknown) => void,
  ) => readonly SignallingAdapter[]
  /** Makes what keeps the connections to relays. */
  readonly relayStreams?: (onInput: (relay: string, input: RelayInput) => void) => RelayStreams
  /** Makes what gives out a host's addresses, where a backend does that. */
  readonly allocator?: (() => Promise<AddressAllocator>) | undefined
  /** Where this machine's programs reach the room. */
  readonly network?: IpInterface | undefined
  /** Proves or checks the room's password. */
  readonly password?: PasswordProof | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Leaves the room when it is aborted. */
  readonly abort?: AbortSignal | undefined
  /** Called with each event as it happens, whoever reads `events`. */
  readonly onEvent?: (event: RoomEvent) => void
  /** Called when all is closed. */
  readonly onClosed: () => Promise<void>
}

export class Driver implements Room {
  readonly id: string
  readonly ready: Promise<void>
  readonly #options: DriverOptions
  readonly #events = new EventQueue<RoomEvent>()
  /** Those that wait until programs can use what they tell of. */
  readonly #waiting: RoomEvent[] = []
  /** How many changes to the programs' interface are under way. */
  #changing = 0
  readonly #abort = new AbortController()
  #rendezvous: Rendezvous | undefined
  #allocator: Promise<AddressAllocator> | undefined
  /** The timer that is set: it may be earlier than what the machine wants next, and never later. */
  #timer: { readonly at: number; readonly cancel: () => void } | undefined
  #stopLooking: (() => void) | undefined
  #relayStreams: RelayStreams | undefined
  readonly #further: FurtherSockets
  readonly #pings = new Pings()
  /** The addresses that the machine knows of. */
  #seen: string | undefined
  #closed: Promise<void> | undefined
  readonly #wasClosed: Promise<void>
  #isClosed: (() => void) | undefined
  #isReady: (() => void) | undefined
  #isNotReady: ((failure: Error) => void) | undefined

  constructor(options: DriverOptions) {
    this.id = options.id
    this.#options = options
    this.#further = new FurtherSockets((via, bytes, source) =>
      this.handle((machine, now) => machine.handleDatagram(now, { ...source, via }, bytes)),
    )
    this.#wasClosed = new Promise((resolve) => {
      this.#isClosed = resolve
    })
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = resolve
      this.#isNotReady = reject
    })
    // Whoever does not wait for it hears of a failure through the events.
    this.ready.catch(() => undefined)
  }

  get events(): AsyncIterable<RoomEvent> {
    return this.#events
  }

  get messages(): AsyncIterable<MessageEvent> {
    // The place is taken now, not when the first message is asked for.
    return messagesOf(this.#events[Symbol.asyncIterator]())
  }

  get members(): readonly Member[] {
    return this.#options.machine.members
  }

  get undelivered(): number {
    return this.#options.machine.undelivered
  }

  /**
   * Begins to open the adapters, and starts the machine. An adapter that finds its configuration wrong later ends
   * the room: `ready` and the events fail with its UsageError.
   */
  async start(): Promise<void> {
    const { abort, machine, sockets, logger } = this.#options
    try {
      const adapters = this.#options.adapters(
        (adapter, state) => this.#handleState(adapter, state),
        (error) => this.#fail(error),
      )
      this.#rendezvous = new Rendezvous({
        adapters,
        onRecord: (adapter, record) => this.#handleRecord(adapter, record),
        onFailure: (adapter, error) => this.#handleFailure(adapter, error),
        onUnexpected: (error) => this.#fail(error),
      })
      if (machine.role === 'host') this.#allocator = this.#options.allocator?.()
      // The backend's adapter says the same, and ends the room where it has to.
      this.#allocator?.catch(() => undefined)
      await this.#rendezvous.open({ role: machine.role, topics: machine.topics }, this.#abort.signal)
    } catch (error) {
      await this.#close()
      throw error
    }
    for (const socket of sockets) {
      socket.onDatagram((bytes, source) => {
        if (!this.#isInside(source)) this.handle((each, now) => each.handleDatagram(now, source, bytes))
      })
    }
    this.#options.network?.start(
      (packets) => this.handle((each, now) => each.handlePackets(now, packets)),
      (failure) => this.#fail(failure),
    )
    logger.debug('listening', { ports: sockets.map((socket) => socket.local.port) })
    this.handle((each, now) => each.start(now))
    this.#lookAround()
    abort?.addEventListener('abort', this.#onAbort)
    if (abort?.aborted === true) this.#onAbort()
  }

  get namespace(): number | undefined {
    return this.#options.network?.namespace
  }

  get asking(): readonly Named[] {
    return this.#options.machine.asking
  }

  get bans(): readonly Ban[] {
    return this.#options.machine.bans
  }

  administer(act: AdministrativeAct, who: string): Named {
    return this.#ask((machine, now) => machine.administer(now, act, who))
  }

  get invites(): readonly Invite[] {
    return this.#options.machine.invites
  }

  invite(options: InviteOptions = {}): NewInvite {
    return this.#ask((machine, now) => machine.invite(now, options))
  }

  revokeInvite(id: string): Invite {
    return this.#ask((machine, now) => machine.revokeInvite(now, id))
  }

  send(text: string): string {
    return this.#ask((machine, now) => machine.post(now, text))
  }

  async ping(who: string): Promise<Ping> {
    return this.#pings.wait(this.#ask((machine, now) => machine.ping(now, who)))
  }

  async leave(options?: LeaveOptions): Promise<void> {
    if (this.#options.machine.ended === undefined && this.#closed === undefined) {
      const { clock, machine } = this.#options
      machine.leave(clock.now(), options)
      this.handle(() => undefined)
      await this.#wasClosed
    }
    await this.#closed
  }

  /** Has the machine do what a user asks for; what it throws is for the user. */
  #ask<Result>(input: (machine: RoomMachine, now: number) => Result): Result {
    const { clock, machine } = this.#options
    if (this.#closed !== undefined) throw roomEnded()
    const result = input(machine, clock.now())
    this.#drain()
    return result
  }

  /** Gives the machine one input, then drains it. What it throws is a bug, and ends the room. */
  handle(input: (machine: RoomMachine, now: number) => void): void {
    if (this.#closed !== undefined) return
    const { clock, machine } = this.#options
    try {
      input(machine, clock.now())
      this.#drain()
    } catch (error) {
      this.#fail(error)
    }
    if (machine.ended !== undefined) void this.#close()
  }

  #drain(): void {
    const { machine } = this.#options
    for (let sent = machine.pollTransmit(); sent !== undefined; sent = machine.pollTransmit()) {
      this.#perform(sent)
    }
    for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
      this.#waiting.push(event)
    }
    if (this.#changing === 0) this.#tell()
    for (let echo = machine.pollEcho(); echo !== undefined; echo = machine.pollEcho()) {
      this.#pings.handle(echo)
    }
    this.#schedule()
  }

  #tell(): void {
    for (const event of this.#waiting.splice(0)) this.#show(event)
  }

  #show(event: RoomEvent): void {
    this.#events.push(event)
    this.#options.onEvent?.(event)
    if (event.event === 'room' || event.event === 'joined') this.#isReady?.()
  }

  #perform(transmit: RoomTransmit): void {
    switch (transmit.type) {
      case 'datagram':
        this.#send(transmit.datagram)
        break
      case 'open-sockets':
        void this.#openSockets(transmit.ids)
        break
      case 'close-sockets':
        for (const id of transmit.ids) this.#further.close(id)
        break
      case 'signal':
        this.#rendezvous?.perform(transmit.signal)
        break
      case 'address':
        void this.#performAddress(transmit.address)
        break
      case 'password':
        void this.#performPassword(transmit.request)
        break
      case 'packet':
        this.#options.network?.write(transmit.bytes)
        break
      case 'interface':
        void this.#configure(transmit.addresses)
        break
      case 'connect':
      case 'stream':
        this.#relayStreams ??= this.#options.relayStreams?.((relay, input) =>
          this.handle((machine, now) => machine.handleRelayStream(now, relay, input)),
        )
        this.#relayStreams?.perform(transmit)
    }
  }

  async #performAddress(transmit: AddressTransmit): Promise<void> {
    const { logger } = this.#options
    try {
      const allocator = await this.#allocator
      if (allocator === undefined) throw new GonetError('addresses-unavailable', 'nobody gives out addresses')
      if (transmit.kind === 'keep') allocator.keep(transmit.claim, transmit.address)
      if (transmit.kind === 'release') allocator.release(transmit.claim)
      if (transmit.kind !== 'allocate') return
      const number = await allocator.allocate(transmit.request, this.#abort.signal)
      this.handle((machine, now) => machine.handleAddress?.(now, transmit.id, number ?? 'none'))
    } catch (error) {
      if (this.#abort.signal.aborted || transmit.kind !== 'allocate') return
      logger.warn('address not shared', { reason: explain(error) })
      this.handle((machine, now) => machine.handleAddress?.(now, transmit.id, 'unavailable'))
    }
  }

  async #performPassword(request: PasswordRequest): Promise<void> {
    const { password } = this.#options
    if (request.kind === 'forget') {
      password?.forget(request.id)
      return
    }
    const answer = (await password?.perform(request)) ?? { kind: 'unavailable' }
    this.handle((machine, now) => machine.handlePassword(now, request.id, answer))
  }

  async #configure(addresses: readonly InterfaceAddress[]): Promise<void> {
    this.#changing += 1
    try {
      const problems = (await this.#options.network?.configure(addresses)) ?? []
      for (const { code, message, advice } of problems) {
        this.#show({
          event: 'error',
          code,
          message: advice === undefined ? message : `${message}. ${advice}`,
        })
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#changing -= 1
    if (this.#changing === 0) this.#tell()
  }

  /** Whether an address is of the room's own network: what carries the tunnels must not go through them. */
  #isInside({ address }: SocketAddress): boolean {
    return this.#options.network?.leadsTo(address) === true
  }

  /** Networks come and go without a word to programs. */
  #lookAround(): void {
    const { clock, localAddresses } = this.#options
    if (this.#closed !== undefined) return
    this.#stopLooking = clock.after(LookAroundMs, () => {
      const addresses = localAddresses()
      const seen = addresses.map(formatSocketAddress).join()
      if (seen !== this.#seen) this.handle((each, now) => each.setLocalAddresses(now, addresses))
      this.#seen = seen
      this.#lookAround()
    })
  }

  readonly #onAbort = (): void => void this.leave()

  /** A deadline moves later with most datagrams: the timer stays then, since waking early does nothing. */
  #schedule(): void {
    const { clock, machine } = this.#options
    const deadline = machine.pollTimeout()
    if (deadline === undefined || (this.#timer !== undefined && this.#timer.at <= deadline)) return
    this.#timer?.cancel()
    const now = clock.now()
    const at = Math.min(Math.max(now, deadline), now + TimerMaxMs)
    const cancel = clock.after(Math.ceil(at - now), () => {
      this.#timer = undefined
      this.handle((each, woken) => each.handleTimeout(woken))
    })
    this.#timer = { at, cancel }
  }

  async #openSockets(ids: readonly string[]): Promise<void> {
    const open = await this.#further.open(ids)
    this.handle((machine, now) => machine.handleSockets(now, open))
  }

  #send({ bytes, destination, hops }: PathDatagram): void {
    if (this.#isInside(destination)) return
    if (destination.via !== undefined) {
      this.#further.send(destination.via, bytes, destination)
      return
    }
    const isV6 = destination.address.includes(':')
    const socket = this.#options.sockets.find(({ local }) => local.address.includes(':') === isV6)
    socket?.send(bytes, destination, hops)
  }

  #handleRecord(adapter: string, record: SignalRecord): void {
    this.handle((machine, now) => machine.handleRecord(now, adapter, record))
  }

  #handleState(adapter: string, state: AdapterState): void {
    this.#options.logger.debug('signalling', { adapter, ...state })
    this.handle((machine, now) => machine.handleAdapterState(now, adapter, state))
  }

  #handleFailure(adapter: string, error: GonetError): void {
    this.#options.logger.warn('signalling failed', { adapter, code: error.code, reason: explain(error) })
  }

  /** Ends the room with what it cannot go on after, such as a bug. */
  #fail(error: unknown): void {
    this.#end(error instanceof Error ? error : new Error(String(error)))
    void this.#close()
  }

  #end(failure: Error | undefined): void {
    this.#tell()
    this.#events.end(failure)
    this.#isNotReady?.(failure ?? roomEnded())
  }

  #close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    const { abort, clock, logger, machine, sockets } = this.#options
    abort?.removeEventListener('abort', this.#onAbort)
    this.#timer?.cancel()
    this.#stopLooking?.()
    const deadline = new AbortController()
    const cancel = clock.after(RetractMs, () => deadline.abort())
    await this.#rendezvous?.close(deadline.signal)
    cancel()
    this.#abort.abort()
    await (await this.#allocator?.catch(() => undefined))?.close()
    this.#pings.end()
    this.#relayStreams?.close()
    await this.#options.password?.close()
    this.#further.closeAll()
    await this.#options.network?.close()
    await Promise.all(sockets.map((socket) => socket.close()))
    const dropped = machine.dropped().filter(([, count]) => count > 0)
    const total = dropped.reduce((sum, [, count]) => sum + count, 0)
    // Some is dropped in every run: a peer's first checks may come before its credentials.
    if (total >= ManyDropped) logger.info('dropped', Object.fromEntries(dropped))
    else if (total > 0) logger.debug('dropped', Object.fromEntries(dropped))
    await this.#options.onClosed()
    this.#end(machine.ended?.failure)
    this.#isClosed?.()
  }
}

async function* messagesOf(events: AsyncIterable<RoomEvent>): AsyncGenerator<MessageEvent, void, undefined> {
  for await (const event of events) if (event.event === 'message') yield event
}
