/** A room's host and guests on the simulated internet. */
import { identityFromSeed } from '../../src/core/identity.js'
import { parseSubnet } from '../../src/core/overlay.js'
import { defaultRoomId, type RoomId } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { nodeNoiseCrypto as noiseCrypto } from '../../src/node/noise-crypto.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { HostRoom } from '../../src/room/host-room.js'
import type { RoomMachineOptions } from '../../src/room/room-machine.js'
import { MemoryStore } from './memory-store.js'
import { SeededRandom } from './seeded-random.js'
import { SimulatedInternet, SimulatedMember, type Weather } from './simulated-internet.js'

export class SimulatedRoom {
  readonly internet: SimulatedInternet
  readonly room: RoomId
  readonly #random: SeededRandom
  readonly #hostSeed: Uint8Array
  readonly #disks = new Map<string, MemoryStore>()
  readonly #historyLimit: number
  #started = 0

  constructor(seed: string | number, weather: Weather, options: { readonly historyLimit?: number } = {}) {
    this.#random = new SeededRandom(seed)
    this.#hostSeed = this.#random.fork('host key').bytes(32)
    this.#historyLimit = options.historyLimit ?? 200
    this.room = defaultRoomId(crypto, identityFromSeed(crypto, this.#hostSeed).publicKey)
    this.internet = new SimulatedInternet(this.#random.fork('internet'), weather)
  }

  /** Starts the host, or starts it again with what it had on disk. */
  startHost(): SimulatedMember {
    const identity = identityFromSeed(crypto, this.#hostSeed)
    const address = { address: '192.0.2.1', port: 1000 }
    const invite = `gonet://join/${this.room}`
    const subnet = parseSubnet('10.7.0.0/16')
    const options = { ...this.#options('host', address), identity, invite, subnet }
    return this.internet.add(new SimulatedMember('host', address, new HostRoom(options)))
  }

  /** Starts a guest; one of the same name has the same identity, and what it had on disk. */
  startGuest(
    name: string,
    { timeoutMs, isBackendUp = true }: { readonly timeoutMs?: number; readonly isBackendUp?: boolean } = {},
  ): SimulatedMember {
    const identity = identityFromSeed(crypto, this.#random.fork(`key of ${name}`).bytes(32))
    this.#started += 1
    const address = { address: '198.51.100.1', port: 2000 + this.#started }
    const machine = new GuestRoom({ ...this.#options(name, address), identity, timeoutMs })
    return this.internet.add(new SimulatedMember(name, address, machine), isBackendUp)
  }

  #options(
    name: string,
    address: { readonly address: string; readonly port: number },
  ): Omit<RoomMachineOptions, 'identity'> {
    const store = this.#disks.get(name) ?? new MemoryStore()
    this.#disks.set(name, store)
    return {
      room: this.room,
      name,
      crypto,
      noiseCrypto,
      random: this.#random.fork(`${name} ${this.#started}`),
      wall: { unixMs: () => 1_800_000_000_000 + this.internet.now },
      store,
      mtu: 1280,
      historyLimit: this.#historyLimit,
      timeoutMs: undefined,
      localAddresses: [address],
      stunServers: 0,
      loopback: false,
    }
  }
}
