/** A room's host and guests on the simulated internet. */
import { type Identity, identityFromSeed } from '../../src/core/identity.js'
import { parseRoomReference } from '../../src/core/invite.js'
import type { SocketAddress } from '../../src/core/machine.js'
import { memberAddress6, parseSubnet } from '../../src/core/overlay.js'
import type { Crypto } from '../../src/core/ports.js'
import { defaultRoomId, type RoomId } from '../../src/core/room-id.js'
import { nodeNoiseCrypto as noiseCrypto } from '../../src/node/noise-crypto.js'
import { GuestRoom, type GuestRoomOptions } from '../../src/room/guest-room.js'
import { HostRoom, type HostRoomOptions } from '../../src/room/host-room.js'
import type { RoomMachineOptions } from '../../src/room/room-machine.js'
import { MemoryStore } from './memory-store.js'
import { SeededRandom } from './seeded-random.js'
import { SimulatedAccess } from './simulated-access.js'
import { simulatedCrypto } from './simulated-crypto.js'
import {
  SignallingMs,
  SimulatedInternet,
  SimulatedMember,
  type SimulatedPassword,
  type Weather,
} from './simulated-internet.js'
import { createNat, type NatPath } from './simulated-nat.js'
import { relayServer } from './simulated-servers.js'

/** What members are told of the internet with servers. */
const Network = { stunServers: 2, relays: 1, signallingLatencyMs: SignallingMs }

export interface AdmissionOptions extends Pick<HostRoomOptions, 'admission' | 'allow'> {
  readonly password?: SimulatedPassword
  /** What is between the host and the internet, with STUN and TURN servers. Nothing of all that by default. */
  readonly behind?: NatPath
}

export interface GuestOptions {
  /** As for a host. */
  readonly behind?: NatPath
  readonly timeoutMs?: number
  readonly isBackendUp?: boolean
  readonly hasPassword?: boolean
  readonly password?: SimulatedPassword
  /** The link that it was given. */
  readonly link?: string
  /** Makes another machine than gonet's own. */
  readonly make?: (options: GuestRoomOptions) => GuestRoom
}

export class SimulatedRoom {
  readonly internet: SimulatedInternet
  readonly room: RoomId
  readonly #crypto: Crypto = simulatedCrypto()
  readonly #random: SeededRandom
  readonly #hostSeed: Uint8Array
  readonly #disks = new Map<string, MemoryStore>()
  /** How far each member's wall clock is ahead, in ms. */
  readonly #clocks = new Map<string, number>()
  readonly #historyLimit: number
  readonly #hasInterfaces: boolean
  #started = 0
  #ports = 2000
  #networks = 0

  /** @param options `hasInterfaces`: whether there are programs on the members' machines */
  constructor(
    seed: string | number,
    weather: Weather,
    options: { readonly historyLimit?: number; readonly hasInterfaces?: boolean } = {},
  ) {
    this.#random = new SeededRandom(seed)
    this.#hostSeed = this.#random.fork('host key').bytes(32)
    this.#historyLimit = options.historyLimit ?? 200
    this.#hasInterfaces = options.hasInterfaces ?? false
    this.room = defaultRoomId(this.#crypto, identityFromSeed(this.#crypto, this.#hostSeed).publicKey)
    this.internet = new SimulatedInternet(this.#random.fork('internet'), weather)
  }

  /** Starts the host, or starts it again with what it had on disk. */
  startHost(admission: AdmissionOptions = {}): SimulatedMember {
    const { password, behind, ...rules } = admission
    const identity = identityFromSeed(this.#crypto, this.#hostSeed)
    const address = behind === undefined ? { address: '192.0.2.1', port: 1000 } : this.#addressBehind(behind)
    const subnet = parseSubnet('10.7.0.0/16')
    const options = {
      ...this.#options('host', address),
      ...(behind && Network),
      ...rules,
      identity,
      signal: ['mqtt'],
      subnet,
    }
    const member = new SimulatedMember('host', address, new HostRoom(options))
    member.password = password
    return this.#add(member, behind)
  }

  /** Starts a guest; one of the same name has the same identity, and what it had on disk. */
  startGuest(name: string, options: GuestOptions = {}): SimulatedMember {
    const {
      behind,
      hasPassword = false,
      isBackendUp = true,
      link,
      make = (each: GuestRoomOptions) => new GuestRoom(each),
    } = options
    const address = behind === undefined ? this.#newAddress() : this.#addressBehind(behind)
    const machine = make({
      ...this.#options(name, address),
      ...(behind && Network),
      identity: this.identity(name),
      timeoutMs: options.timeoutMs,
      hasPassword,
      ...(link !== undefined && this.#named(link)),
    })
    const member = new SimulatedMember(name, address, machine)
    member.password = options.password
    return this.#add(member, behind, isBackendUp)
  }

  /** A guest's. */
  identity(name: string): Identity {
    return identityFromSeed(this.#crypto, this.#random.fork(`key of ${name}`).bytes(32))
  }

  /** The overlay address of whoever has this key. */
  address6(publicKey: Uint8Array): string {
    return memberAddress6(this.#crypto, this.room, publicKey)
  }

  get hostKey(): Uint8Array {
    return identityFromSeed(this.#crypto, this.#hostSeed).publicKey
  }

  /** What a member has on disk. */
  disk(name: string): MemoryStore {
    const disk = this.#disks.get(name) ?? new MemoryStore()
    this.#disks.set(name, disk)
    return disk
  }

  /** Gives a member another disk. */
  setDisk(name: string, disk: MemoryStore): void {
    this.#disks.set(name, disk)
  }

  /** Sets a member's wall clock forward, or back. */
  stepClock(name: string, byMs: number): void {
    this.#clocks.set(name, (this.#clocks.get(name) ?? 0) + byMs)
  }

  /** Has a guest's datagrams come from elsewhere from now on. */
  rebind(guest: SimulatedMember): void {
    this.internet.rebind(guest, this.#newAddress())
  }

  #named(link: string): Pick<GuestRoomOptions, 'host' | 'invite'> {
    const { hostKey, invite } = parseRoomReference(this.#crypto, link)
    return { ...(hostKey && { host: { hostKey } }), invite }
  }

  #add(member: SimulatedMember, behind: NatPath | undefined, isBackendUp = true): SimulatedMember {
    if (behind === undefined) return this.internet.add(member, isBackendUp)
    const { servers } = this.internet
    const isPublic = behind !== 'no UDP' && behind.every(({ mapping }) => mapping === 'none')
    const publicAddress = isPublic ? member.address.address : `203.0.113.${this.#networks}`
    const nat = createNat(behind, this.#random.fork(`NAT ${this.#networks}`), publicAddress)
    member.access = new SimulatedAccess(nat, member.address, publicAddress)
    this.internet.add(member, isBackendUp)
    for (const each of servers.stun)
      this.internet.input(member, (machine, now) => machine.addStunServer(now, each))
    const relay = relayServer(servers.turn, behind === 'no UDP' ? 'stream' : 'udp')
    this.internet.input(member, (machine, now) => machine.addRelay(now, relay))
    return member
  }

  #addressBehind(path: NatPath): SocketAddress {
    this.#networks += 1
    const isPublic = path !== 'no UDP' && path.every(({ mapping }) => mapping === 'none')
    return {
      address: `${isPublic ? '192.0.2' : '10.0.0'}.${100 + this.#networks}`,
      port: 4000 + this.#networks,
    }
  }

  #newAddress(): SocketAddress {
    this.#ports += 1
    return { address: '198.51.100.1', port: this.#ports }
  }

  #options(name: string, address: SocketAddress): Omit<RoomMachineOptions, 'identity'> {
    this.#started += 1
    return {
      room: this.room,
      name,
      crypto: this.#crypto,
      noiseCrypto,
      random: this.#random.fork(`${name} ${this.#started}`),
      wall: { unixMs: () => 1_800_000_000_000 + this.internet.now + (this.#clocks.get(name) ?? 0) },
      store: this.disk(name),
      mtu: 1280,
      historyLimit: this.#historyLimit,
      hasInterface: this.#hasInterfaces,
      timeoutMs: undefined,
      localAddresses: [address],
      stunServers: 0,
      loopback: false,
    }
  }
}
