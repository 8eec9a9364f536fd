/** Opening a room as its host or as a guest: identity, sockets, machine, driver. */
import { userInfo } from 'node:os'
import { explain, UsageError } from '../core/errors.js'
import { identityFromSeed, nameProblem } from '../core/identity.js'
import { parseRoomReference } from '../core/invite.js'
import type { SocketAddress } from '../core/machine.js'
import { defaultSubnet, parseSubnet } from '../core/overlay.js'
import type { PasswordProof } from '../core/password-proof.js'
import type { Crypto, IpInterface, Logger, Random, UdpSocket } from '../core/ports.js'
import { defaultRoomId, parseRoomId, type RoomId } from '../core/room-id.js'
import { GuestRoom } from '../room/guest-room.js'
import { HostRoom } from '../room/host-room.js'
import type { Room } from '../room/room.js'
import type { RoomMachine, RoomMachineOptions } from '../room/room-machine.js'
import type { Candidate } from '../transports/path/candidate.js'
import { canonicalAddress } from './canonical-address.js'
import { type Composition, compose } from './composition.js'
import { resolveAdmission } from './config/admission-settings.js'
import type { LoadedConfig } from './config/load-config.js'
import { resolveTransport, type TransportSettings } from './config/transport-settings.js'
import type { ControlServer } from './control/server.js'
import { Driver } from './driver.js'
import { localAddresses, localSubnets } from './interfaces.js'
import type { Lock } from './lock.js'
import { nodeLongTermKey } from './long-term-key.js'
import { openInterface } from './network/open-interface.js'
import { guestPassword } from './password/password-thread.js'
import { openRoomPassword } from './password/room-password.js'
import type { PortMapping } from './port-mapping.js'
import { type ConfiguredRelay, readRelayServers } from './relay-servers.js'
import { RelayStreams } from './relay-streams.js'
import type { State } from './state.js'
import { openUdpSocket } from './udp-socket.js'

export interface OpenRoomOptions {
  readonly loaded: LoadedConfig
  readonly state: State
  readonly logger: Logger
  /** How long until giving up before the room is up, in ms; undefined for never. */
  readonly timeoutMs: number | undefined
  /** Asks a person for the room's password, where there is one to ask; undefined where nothing was typed. */
  readonly askPassword?: (() => Promise<string | undefined>) | undefined
  /** Leaves the room when it is aborted. */
  readonly abort?: AbortSignal | undefined
  /** Lets other processes of this user talk to the room; whoever made it closes it. */
  readonly control?: ControlServer | undefined
}

/**
 * Hosts a room.
 * @param room a hosted room's id; undefined for the one hosted last, or a first one; 'new' for a new one
 * @throws UsageError, GonetError `store-failed`
 */
export async function openHostRoom(room: string | undefined, options: OpenRoomOptions): Promise<Room> {
  const { loaded, state, logger } = options
  const { config } = loaded
  const composition = compose(config, logger, loaded.ownAdapters)
  const { crypto, random } = composition
  const id = chooseRoom(room, state, crypto, random)
  const seed = state.readRoom(id)
  if (seed === undefined) throw notHosted(id)
  const identity = identityFromSeed(crypto, seed)
  const { allow, kind, password } = await resolveAdmission(loaded, 'host')
  const lock = state.lockRoom(id)
  const store = state.roomStore(id)
  const prove = async (): Promise<PasswordProof | undefined> =>
    kind === 'password' ? openRoomPassword(store, identity.publicKey, password) : undefined
  return open(options, composition, { id, lock, prove }, (shared) => {
    state.rememberLastRoom(id)
    const { subnet } = config.network
    return new HostRoom({
      ...shared,
      identity,
      store,
      admission: kind,
      allow,
      subnet:
        subnet === 'auto' ? defaultSubnet(crypto, identity.publicKey, localSubnets()) : parseSubnet(subnet),
      allocates: composition.allocator !== undefined,
      signal: config.signal,
    })
  })
}

/**
 * Joins a room.
 * @param reference a room id, a `gonet://` link, or the host's public key in base64
 * @throws UsageError, GonetError `store-failed`
 */
export async function openGuestRoom(reference: string, options: OpenRoomOptions): Promise<Room> {
  const { loaded, state, logger } = options
  const composition = compose(loaded.config, logger, loaded.ownAdapters)
  const { crypto, random } = composition
  const { room, hostKey, hostDigits, invite } = parseRoomReference(crypto, reference)
  const identity = identityFromSeed(crypto, state.loadGuest(random))
  const { password } = await resolveAdmission(loaded, 'guest')
  const lock = state.lockGuest(room)
  const prove = (): Promise<PasswordProof> =>
    Promise.resolve(guestPassword(password ?? (async () => options.askPassword?.())))
  return open(options, composition, { id: room, lock, prove }, (shared) => {
    const host = { ...(hostKey && { hostKey }), ...(hostDigits !== undefined && { hostDigits }) }
    return new GuestRoom({
      ...shared,
      identity,
      store: state.guestStore(room),
      host,
      invite,
      hasPassword: password !== undefined,
    })
  })
}

/** What is the room's own while it is open. */
interface OpenedRoom {
  readonly id: RoomId
  readonly lock: Lock
  readonly prove: () => Promise<PasswordProof | undefined>
}

async function open(
  options: OpenRoomOptions,
  composition: Composition,
  { id: room, lock, prove }: OpenedRoom,
  make: (shared: Omit<RoomMachineOptions, 'identity' | 'store'>) => RoomMachine,
): Promise<Room> {
  const { config } = options.loaded
  const transport = resolveTransport(options.loaded, composition.allLoopback)
  let sockets: readonly UdpSocket[] = []
  let password: PasswordProof | undefined
  let network: IpInterface | undefined
  try {
    network = await openInterface(config.network)
    password = await prove()
    const relays = await readRelayServers(transport.turn, composition)
    sockets = await openSockets(transport.port)
    const machine = make({
      ...composition,
      room,
      name: displayName(config.name),
      localAddresses: socketAddresses(sockets, transport),
      stunServers: transport.stun.length,
      relays: relays.length,
      policy: transport.policy,
      loopback: transport.loopback,
      mtu: config.network.mtu,
      hasInterface: network !== undefined,
      historyLimit: config.chat.history,
      timeoutMs: options.timeoutMs,
    })
    const { adapters, allocator, clock, logger } = composition
    let mapping: Promise<PortMapping> | undefined
    const closing = new AbortController()
    const onClosed = async (): Promise<void> => {
      closing.abort()
      await (await mapping)?.close()
      control?.withdraw()
      lock.release()
    }
    const { abort, control } = options
    const driver = new Driver({
      id: room,
      machine,
      sockets,
      localAddresses: () => socketAddresses(sockets, transport),
      adapters,
      allocator,
      network,
      password,
      relayStreams: (onInput) => new RelayStreams(relays, onInput),
      clock,
      logger,
      abort,
      onEvent: (event) => control?.handleEvent(event),
      onClosed,
    })
    await driver.start()
    await control?.open(driver, machine.role).catch((error: unknown) => {
      logger.warn('other commands cannot reach this room', { reason: explain(error) })
    })
    for (const server of transport.stun) void addStunServer(driver, server, sockets)
    for (const relay of relays) void addRelay(driver, relay, sockets)
    if (transport.portMapping) mapping = mapPort(driver, sockets, composition, closing.signal)
    return driver
  } catch (error) {
    lock.release()
    await password?.close()
    await network?.close()
    await Promise.all(sockets.map((socket) => socket.close()))
    throw error
  }
}

function chooseRoom(room: string | undefined, state: State, crypto: Crypto, random: Random): RoomId {
  const chosen = room === undefined ? state.lastRoom() : room
  if (chosen !== undefined && chosen !== 'new') return parseRoomId(chosen)
  const seed = random.bytes(32)
  const id = defaultRoomId(crypto, identityFromSeed(crypto, seed).publicKey)
  state.createRoom(id, seed)
  return id
}

function notHosted(room: RoomId): UsageError {
  return new UsageError('room-not-hosted', `The state folder has no identity for room ${room}`, {
    advice: 'Run `gonet create` without an id, or import the identity',
  })
}

function displayName(configured: string | undefined): string {
  if (configured !== undefined) return configured
  let login = ''
  try {
    login = userInfo().username
  } catch {
    // A user that the system has no name for.
  }
  return nameProblem(login) === undefined ? login : 'somebody'
}

async function openSockets(port: number): Promise<readonly UdpSocket[]> {
  const v4 = await openUdpSocket(4, port)
  try {
    return [v4, await openUdpSocket(6, port)]
  } catch {
    // A machine without IPv6.
    return [v4]
  }
}

function socketAddresses(
  sockets: readonly UdpSocket[],
  { loopback }: TransportSettings,
): readonly SocketAddress[] {
  return localAddresses(loopback).flatMap((address) => {
    const isV6 = address.includes(':')
    const socket = sockets.find(({ local }) => local.address.includes(':') === isV6)
    return socket === undefined ? [] : [{ address, port: socket.local.port }]
  })
}

async function mapPort(
  driver: Driver,
  sockets: readonly UdpSocket[],
  { clock, random, logger }: Composition,
  abort: AbortSignal,
): Promise<PortMapping> {
  const port = sockets[0]?.local.port ?? 0
  const { startPortMapping } = await import('./port-mapping.js')
  const onMapped = (candidate: Candidate | undefined): void =>
    driver.handle((machine, now) => machine.setMappedAddress(now, candidate?.address))
  return startPortMapping({ port, clock, random, logger, onMapped, abort })
}

/** Looked up beside everything else: a slow resolver delays no join. */
async function addStunServer(driver: Driver, server: string, sockets: readonly UdpSocket[]): Promise<void> {
  const colon = server.lastIndexOf(':')
  const host = server.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const address = await lookUp(host, Number(server.slice(colon + 1)), sockets)
  driver.handle((machine, now) => machine.addStunServer(now, address))
}

async function addRelay(
  driver: Driver,
  { id, host, port, transport, credentials }: ConfiguredRelay,
  sockets: readonly UdpSocket[],
): Promise<void> {
  const address = await lookUp(host, port, sockets)
  const kind = transport === 'udp' ? 'udp' : 'stream'
  const server =
    address && ({ id, address, transport: kind, credentials, longTermKey: nodeLongTermKey } as const)
  driver.handle((machine, now) => machine.addRelay(now, server))
}

/** @returns an address of a family that there is a socket of; undefined where none is found */
async function lookUp(
  host: string,
  port: number,
  sockets: readonly UdpSocket[],
): Promise<SocketAddress | undefined> {
  const families = sockets.map(({ local }) => (local.address.includes(':') ? 6 : 4))
  const { lookup } = await import('node:dns/promises')
  const found = await lookup(host, { all: true }).catch(() => [])
  const usable = found.find(({ family }) => families.some((each) => each === family))
  return usable && { address: canonicalAddress(usable.address), port }
}
