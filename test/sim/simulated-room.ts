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
import { simulatedCrypto } from './simulated-crypto.js'
import {
  SimulatedInternet,
  SimulatedMember,
  type SimulatedPassword,
  type Weather,
} from './simulated-internet.js'

export interface AdmissionOptions extends Pick<HostRoomOptions, 'admission' | 'allow'> {
  readonly password?: SimulatedPassword
}

export interface GuestOptions {
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
    const { password, ...rules } = admission
    const identity = identityFromSeed(this.#crypto, this.#hostSeed)
    const address = { address: '192.0.2.1', port: 1000 }
    const subnet = parseSubnet('10.7.0.0/16')
    const options = { ...this.#options('host', address), ...rules, identity, signal: ['mqtt'], subnet }
    const member = new SimulatedMember('host', address, new HostRoom(options))
    member.password = password
    return this.internet.add(member)
  }

  /** Starts a guest; one of the same name has the same identity, and what it had on disk. */
  startGuest(name: string, options: GuestOptions = {}): SimulatedMember {
    const {
      hasPassword = false,
      isBackendUp = true,
      link,
      make = (each: GuestRoomOptions) => new GuestRoom(each),
    } = options
    const address = this.#newAddress()
    const machine = make({
      ...this.#options(name, address),
      identity: this.identity(name),
      timeoutMs: options.timeoutMs,
      hasPassword,
      ...(link !== undefined && this.#named(link)),
    })
    const member = new SimulatedMember(name, address, machine)
    member.password = options.password
    return this.internet.add(member, isBackendUp)
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
